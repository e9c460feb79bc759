from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from defocusfix.errors import InputError
from defocusfix.photo.coding import JpegCoding
from defocusfix.photo.read import read_photo
from defocusfix.photo.write import encode_photo
from tests.photo import sample_files as samples


@pytest.mark.parametrize("quality", [50, 90, 100])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_the_tables_and_the_subsampling_of_the_source_are_kept(quality, subsampling):
    file = samples.jpeg(samples.scene(), quality=quality, subsampling=subsampling)
    written = encode_photo(read_photo(file, name="photo.jpg"))
    before, after = Image.open(io.BytesIO(file)), Image.open(io.BytesIO(written))
    assert after.quantization == before.quantization
    assert after.layer == before.layer


@pytest.mark.parametrize("options", [{"progressive": True}, {"keep_rgb": True}])
def test_progressive_and_rgb_files_stay_what_they_are(options):
    file = samples.jpeg(samples.scene(), quality=95, subsampling=0, **options)
    photo = read_photo(file, name="photo.jpg")
    again = read_photo(encode_photo(photo), name="photo.jpg")
    assert again.coding == photo.coding
    assert np.abs(again.pixels.astype(int) - photo.pixels).max() <= 3


def test_gray_stays_gray():
    photo = read_photo(samples.jpeg(samples.scene(channels=1)), name="photo.jpg")
    assert photo.pixels.shape == (48, 64, 1)
    assert Image.open(io.BytesIO(encode_photo(photo))).mode == "L"


def test_a_turned_photo_keeps_full_chroma_where_half_height_cannot_be_written():
    file = samples.jpeg(samples.scene(), subsampling=1, exif=samples.exif(orientation=6))
    coding = read_photo(file, name="photo.jpg").coding
    assert isinstance(coding, JpegCoding)
    assert coding.subsampling == 0


def test_iptc_comments_and_long_profiles_are_copied_byte_for_byte():
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x04abcd"
    segment = b"\xff\xed" + (len(iptc) + 2).to_bytes(2, "big") + iptc
    profile = np.random.default_rng(0).bytes(150_000)
    file = samples.jpeg(samples.scene(), icc_profile=profile, comment=b"hello", extra=segment)
    written = encode_photo(read_photo(file, name="photo.jpg"))
    assert segment in written
    after = Image.open(io.BytesIO(written))
    assert after.info["icc_profile"] == profile
    assert after.info["comment"] == b"hello"


def test_cmyk_is_refused_with_advice():
    buffer = io.BytesIO()
    Image.fromarray(samples.scene()).convert("CMYK").save(buffer, "JPEG")
    with pytest.raises(InputError, match="CMYK") as refusal:
        read_photo(buffer.getvalue(), name="photo.jpg")
    assert "convert it to RGB" in str(refusal.value)
