"""Metadata that is signed, reduced, or made true for new pixels."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from xml.etree import ElementTree

import exifread
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from defocusfix.photo import ifd
from defocusfix.photo.coding import JpegCoding, PngCoding, TiffCoding
from defocusfix.photo.jpeg_segments import MAX_EXIF
from defocusfix.photo.metadata import exif_within, true_exif
from defocusfix.photo.photo import Photo
from defocusfix.photo.photoshop import joined_resources, split_resources
from defocusfix.photo.read import read_photo
from defocusfix.photo.write import encode_photo
from tests.photo import sample_files as samples

NAMESPACE = "{http://ns.adobe.com/xap/1.0/}"
XMP_WITH_PLACE = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="52,31.2N" '
    b'exif:FNumber="18/10"><exif:GPSLongitude>13,24E</exif:GPSLongitude></rdf:Description>'
    b"</rdf:RDF></x:xmpmeta>"
)


def tags(exif: bytes) -> dict[str, str]:
    """What exifread finds, maker notes included."""
    found = exifread.process_file(io.BytesIO(exif), details=True)
    return {name: str(value) for name, value in found.items() if name != "JPEGThumbnail"}


def full_exif(n_bytes: int) -> bytes:
    """EXIF of as many bytes (even), nearly all of it a maker note; no Software tag."""
    note = bytes(n_bytes - len(exif_with_note(b"12345678")) + 8)
    return exif_with_note(note)


def exif_with_note(note: bytes) -> bytes:
    block = Image.Exif()
    block[0x010F] = "Maker"
    block.get_ifd(0x8769)[0x927C] = note
    return block.tobytes().removeprefix(b"Exif\0\0")


def small_jpeg(level: int) -> bytes:
    image = Image.fromarray(np.full((120, 160, 3), level, np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue() + bytes(3000)


@pytest.mark.parametrize("software", ["df 1.0", "defocusfix 1.0, focusnet-s of the first kind"])
def test_software_is_named_and_every_other_tag_and_its_place_stays(software):
    exif = samples.canon_exif(thumbnail=small_jpeg(0))
    signed = Photo(samples.scene(), PngCoding(), exif=exif).signed(software).exif
    before, after = tags(exif), tags(signed)
    assert after.pop("Image Software") == software
    assert before.pop("Image Software") == "Firmware 1.0"
    assert after == before
    assert before["MakerNote ImageType"] == "Canon EOS R5"
    assert signed.find(b"Canon EOS R5") == exif.find(b"Canon EOS R5")


def test_a_photo_without_exif_gets_a_block_with_the_software():
    photo = Photo(samples.scene(), PngCoding()).signed("defocusfix 1.0")
    assert tags(photo.exif) == {"Image Software": "defocusfix 1.0"}
    assert photo.xmp is None


@pytest.mark.parametrize(
    "xmp",
    [
        samples.XMP,
        samples.XMP.replace(b" tiff:Or", b' xmlns:xmp="http://ns.adobe.com/xap/1.0/" tiff:Or'),
        samples.XMP.replace(
            b" tiff:Or", b' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Old" tiff:Or'
        ),
        samples.XMP.replace(
            b"/></rdf:RDF",
            b'><xmp:CreatorTool xmlns:xmp="http://ns.adobe.com/xap/1.0/">Old</xmp:CreatorTool>'
            b"</rdf:Description></rdf:RDF",
        ),
    ],
)
def test_xmp_names_the_software_and_stays_well_formed(xmp):
    ElementTree.fromstring(xmp)
    photo = Photo(samples.scene(), PngCoding(), xmp=xmp).signed('a "quoted" <name> & more')
    described = ElementTree.fromstring(photo.xmp).iter()
    found = [
        element.get(f"{NAMESPACE}CreatorTool") or element.text
        for element in described
        if element.get(f"{NAMESPACE}CreatorTool") or element.tag == f"{NAMESPACE}CreatorTool"
    ]
    assert found == ['a "quoted" <name> & more']


def test_what_is_no_xmp_is_left_alone():
    assert Photo(samples.scene(), PngCoding(), xmp=b"nothing").signed("x").xmp == b"nothing"


def test_without_gps_the_place_is_gone_and_nothing_else():
    exif = samples.canon_exif(thumbnail=small_jpeg(0))
    photo = Photo(samples.scene(), PngCoding(), exif=exif, xmp=XMP_WITH_PLACE, iptc=b"\x1c")
    reduced = photo.reduced("keep", keeps_gps=False)
    before, after = tags(exif), tags(reduced.exif)
    assert any(name.startswith("GPS") for name in before)
    without = {k: v for k, v in before.items() if not k.startswith("GPS") and k != "Image GPSInfo"}
    assert after == without
    latitude = exif[exif.index((52).to_bytes(4, "big") + (1).to_bytes(4, "big")) :][:24]
    assert latitude in exif
    assert latitude not in reduced.exif
    assert b"GPS" not in reduced.xmp
    assert b'FNumber="18/10"' in reduced.xmp
    ElementTree.fromstring(reduced.xmp)
    assert reduced.iptc == photo.iptc


@pytest.mark.parametrize(
    "place",
    [
        b'drone-dji:GpsLatitude="+52.52" ',
        b"drone-dji:GPSLongitude='13.4' ",
        b"><Camera:GPSXYAccuracy>0.1</Camera:GPSXYAccuracy></rdf:Description><rdf:Description ",
        b'><x.y:GPSPosition rdf:nodeID="a"/></rdf:Description><rdf:Description ',
    ],
)
def test_a_place_in_words_of_a_maker_goes_too(place):
    start, end = XMP_WITH_PLACE.split(b"exif:FNumber")
    declared = b' xmlns:drone-dji="dji" xmlns:Camera="pix" xmlns:x.y="xy" exif:FNumber'
    xmp = start.replace(b"<rdf:RDF", b"<rdf:RDF" + declared.rpartition(b" ")[0])
    xmp += place + (b"exif:FNumber" if b"<" not in place else b'xmlns:exif="e" exif:FNumber') + end
    ElementTree.fromstring(xmp)
    reduced = Photo(samples.scene(), PngCoding(), xmp=xmp).reduced("keep", keeps_gps=False).xmp
    ElementTree.fromstring(reduced)
    assert b"gps" not in reduced.lower()
    assert b'FNumber="18/10"' in reduced


@pytest.mark.parametrize("coding", [JpegCoding(((1,) * 64,), 0), TiffCoding()])
def test_copies_of_exif_and_xmp_in_image_resources_go_with_the_place(coding):
    def block(number: int, content: bytes) -> bytes:
        return b"8BIM" + number.to_bytes(2, "big") + bytes(2) + struct.pack(">I", 4) + content

    path, *copies = (block(n, b"abcd") for n in (0x07D0, 0x0422, 0x0423, 0x0424))
    coded = replace(coding, resources=b"".join([*copies, path]))
    photo = Photo(samples.scene(), coded)
    assert photo.reduced("keep", keeps_gps=False).coding == replace(coding, resources=path)
    assert photo.reduced("keep", keeps_gps=True).coding == coded


def test_a_maker_note_does_not_give_way_to_the_name_of_the_software():
    exif = full_exif(MAX_EXIF - 10)
    photo = Photo(samples.scene(), JpegCoding(((8,) * 64, (8,) * 64), 0), exif=exif)
    signed = photo.signed("defocusfix 1.0, focusnet-s")
    again = read_photo(encode_photo(signed))
    assert again.exif == exif
    assert signed.notes == ("EXIF is full, so its tag Software stays as it was",)
    roomy = replace(photo, exif=full_exif(MAX_EXIF - 200)).signed("defocusfix 1.0, focusnet-s")
    assert tags(read_photo(encode_photo(roomy)).exif)["Image Software"].startswith("defocusfix")
    assert roomy.notes == ()


def test_keeping_everything_changes_nothing():
    photo = Photo(samples.scene(), PngCoding(), exif=samples.exif())
    assert photo.reduced("keep", keeps_gps=True) is photo


def test_minimal_metadata_are_date_author_copyright_and_colours():
    photo = Photo(
        samples.scene(),
        PngCoding(((b"gAMA", b"\0\0\xb1\x8f"), (b"tEXt", b"Author\0Me"))),
        icc_profile=samples.PROFILE,
        exif=samples.canon_exif(),
        xmp=samples.XMP,
        iptc=b"\x1c",
    ).reduced("minimal", keeps_gps=True)
    assert set(tags(photo.exif)) == {
        "Image Artist",
        "Image Copyright",
        "Image DateTime",
        "Image ExifOffset",
        "Image Orientation",
        "EXIF DateTimeOriginal",
        "EXIF ColorSpace",
    }
    assert (photo.xmp, photo.iptc) == (None, None)
    assert photo.icc_profile == samples.PROFILE
    assert photo.coding == PngCoding(((b"gAMA", b"\0\0\xb1\x8f"),))


@pytest.mark.parametrize("coding", [TiffCoding(resources=b"x"), JpegCoding((), 0, resources=b"x")])
def test_no_metadata_leaves_the_profile_alone(coding):
    photo = Photo(
        samples.scene(), coding, icc_profile=b"p", exif=samples.exif(), xmp=b"x", iptc=b"i"
    ).reduced("none", keeps_gps=True)
    assert (photo.exif, photo.xmp, photo.iptc) == (None, None, None)
    assert photo.coding.resources == b""
    assert photo.icc_profile == b"p"


@pytest.mark.parametrize("policy", ["keep", "minimal", "none"])
def test_broken_exif_gives_no_place_away(policy):
    photo = Photo(samples.scene(), PngCoding(), exif=b"II*\0" + b"\xff" * 40)
    reduced = photo.reduced(policy, keeps_gps=False)
    assert not reduced.exif or not tags(reduced.exif)


def test_the_thumbnail_shows_the_new_pixels_and_width_and_height_are_true():
    exif = samples.canon_exif(thumbnail=small_jpeg(0))
    white = np.full((300, 200, 3), 65535, np.uint16)
    block = true_exif(exif, white)
    found = exifread.process_file(io.BytesIO(block), details=True)
    thumbnail = np.asarray(Image.open(io.BytesIO(found["JPEGThumbnail"])))
    assert thumbnail.shape == (160, 107, 3)
    assert thumbnail.min() == 255
    assert found["EXIF ExifImageWidth"].values == [200]
    assert found["EXIF ExifImageLength"].values == [300]
    assert len(block) == len(exif)


def test_a_thumbnail_without_room_for_a_new_one_is_unlinked():
    exif = samples.canon_exif(thumbnail=b"\xff\xd8" + bytes(20))
    found = exifread.process_file(io.BytesIO(true_exif(exif, samples.scene())), details=True)
    assert "JPEGThumbnail" not in found
    assert not any(name.startswith("Thumbnail") for name in found)


def test_exif_that_is_too_large_loses_the_thumbnail_first_and_then_the_maker_note():
    exif = samples.canon_exif(thumbnail=bytes(9000))
    without_thumbnail = exif_within(exif, len(exif) - 1)
    assert len(without_thumbnail) < len(exif) - 8900
    assert b"Canon EOS R5" in without_thumbnail
    without_note = exif_within(exif, len(without_thumbnail) - 1)
    assert tags(without_note)["EXIF LensModel"] == "RF85mm F1.2"
    assert "EXIF MakerNote" not in tags(without_note)
    assert exif_within(exif, 50) is None


@given(
    tag=st.sampled_from([270, 305, 700]),
    value=st.binary(min_size=1, max_size=60),
    orientation=st.integers(1, 8),
)
def test_any_tag_can_be_set_and_the_others_stay(tag, value, orientation):
    exif = samples.canon_exif(orientation=orientation)
    entry = ifd.Entry(tag, ifd.UNDEFINED, len(value), value)
    block = ifd.with_tag(exif, entry)
    before = {e.tag: e for e in ifd.read_directory(exif, ifd.first_directory(exif))}
    after = {e.tag: e for e in ifd.read_directory(block, ifd.first_directory(block))}
    assert after.pop(tag) == entry
    before.pop(tag, None)
    assert after.keys() == before.keys()
    assert all(after[t].value == e.value for t, e in before.items() if t not in ifd.POINTERS)


@given(data=st.binary(max_size=300))
def test_no_bytes_make_the_changes_fail(data):
    photo = Photo(samples.scene(8, 8), PngCoding(), exif=b"MM\0*" + data, xmp=data)
    for changed in (
        photo.signed("defocusfix"),
        photo.reduced("keep", keeps_gps=False),
        photo.reduced("minimal", keeps_gps=False),
    ):
        assert encode_photo(changed)


@given(data=st.binary(max_size=100), iptc=st.none() | st.binary(max_size=40))
def test_iptc_comes_out_of_photoshop_resources_as_it_went_in(data, iptc):
    _, others = split_resources(data)
    assert split_resources(joined_resources(iptc, others))[0] == iptc or others.startswith(b"8BIM")


def test_several_parts_of_photoshop_resources_in_a_jpeg_are_one():
    iptc = b"\x1c" * 70_001
    photo = Photo(samples.scene(), read_photo(samples.jpeg(samples.scene())).coding, iptc=iptc)
    assert read_photo(encode_photo(photo)).iptc == iptc
