from __future__ import annotations

import io
import os
import struct

import numpy as np
import pytest
from PIL import Image

from defocusfix.figures.batch_page import ReportPictures
from defocusfix.jobs.files import Streams
from defocusfix.jobs.plan import Item
from defocusfix.jobs.report_pictures import CROP_PX, PictureStore, report_pictures
from defocusfix.jobs.restoring import Restoring
from defocusfix.jobs.treatment import Treatment
from defocusfix.photo.coding import PngCoding
from defocusfix.photo.photo import Photo
from defocusfix.restoration.restorer import Restorer
from tests.photo import sample_files as samples
from tests.restoration.stand_in_engines import brighter

MOST_BYTES = 40_000 * 3 / 4  # of a page, before base64


def photo(pixels: np.ndarray, **facts) -> Photo:
    return Photo(pixels, PngCoding(), **facts)


def shown(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def total(pictures: ReportPictures) -> int:
    return len(pictures.thumbnail) + len(pictures.before) + len(pictures.after)


def red_and_blue_exchanged(profile: bytes) -> bytes:
    """A colour profile whose primaries of red and blue have changed places."""
    count = struct.unpack_from(">I", profile, 128)[0]
    entries = {
        profile[at : at + 4]: at for at in range(132, 132 + 12 * count, 12)
    }  # signature, offset, size
    changed = bytearray(profile)
    for one, other in ((b"rXYZ", b"bXYZ"), (b"bXYZ", b"rXYZ")):
        source = entries[other]
        changed[entries[one] + 4 : entries[one] + 12] = profile[source + 4 : source + 12]
    return bytes(changed)


def test_the_place_that_changed_is_shown_pixel_for_pixel_before_and_after():
    before = np.full((900, 1200, 3), 90, np.uint8)
    after = before.copy()
    after[700:760, 900:980] = 200
    pictures = report_pictures(photo(before), photo(after))
    top, left, height, width = pictures.crop
    assert (height, width) == CROP_PX
    assert pictures.size == (900, 1200)
    assert np.abs(shown(pictures.before) - 90).max() <= 6
    place = np.s_[710 - top : 750 - top, 910 - left : 970 - left]
    assert np.abs(shown(pictures.after)[place] - 200).max() <= 8
    assert shown(pictures.thumbnail).shape == (225, 300, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_photo_can_be_shown(dtype, channels):
    white = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    before = np.full((50, 700, channels), 0.4 * white, dtype)
    after = np.full((50, 700, channels), 0.8 * white, dtype)
    alpha = np.full((50, 700), white, dtype)
    pictures = report_pictures(photo(before, alpha=alpha), photo(after, alpha=alpha))
    assert pictures.crop[2:] == (50, 480)
    assert np.abs(shown(pictures.before) - 102).max() <= 3
    assert np.abs(shown(pictures.after) - 204).max() <= 3


def test_colours_are_shown_in_srgb_whatever_the_profile():
    red = np.zeros((64, 64, 3), np.uint8) + np.array([220, 20, 20], np.uint8)
    other = photo(red, icc_profile=red_and_blue_exchanged(samples.PROFILE))
    pictures = report_pictures(other, other)
    for picture in (pictures.thumbnail, pictures.before, pictures.after):
        mean = shown(picture).mean((0, 1))
        assert mean[2] > 180 > 60 > mean[0]


def test_a_damaged_profile_leaves_the_colours_as_they_are():
    grey = photo(np.full((64, 64, 3), 130, np.uint8), icc_profile=b"no profile")
    assert np.abs(shown(report_pictures(grey, grey).after) - 130).max() <= 3


def test_even_noise_stays_small_enough_for_a_page_of_a_thousand_photos():
    noise = np.random.default_rng(1).integers(0, 256, (800, 800, 3), np.uint8)
    soft = (noise // 4 + 96).astype(np.uint8)
    assert total(report_pictures(photo(soft), photo(soft))) < MOST_BYTES


@pytest.fixture
def item(tmp_path):
    source, output = tmp_path / "rose.png", tmp_path / "out" / "rose_restored.png"
    output.parent.mkdir()
    source.write_bytes(samples.png(samples.scene()))
    output.write_bytes(samples.png(255 - samples.scene()))
    return Item(source, output, key="2024/rose \udce9.png")


@pytest.fixture
def store(tmp_path) -> PictureStore:
    return PictureStore(tmp_path / "home" / "report")


def test_pictures_that_were_kept_are_those_of_the_output_as_it_was_saved(store, item):
    before, after = photo(samples.scene(100, 120)), photo(samples.scene(100, 120) // 2)
    store.keep(item, before, after)
    assert store.of(item) == report_pictures(before, after)


def test_once_the_output_is_another_one_they_are_made_of_the_files_and_kept(store, item):
    store.keep(item, photo(samples.scene(100, 120)), photo(samples.scene(100, 120)))
    os.utime(item.output, ns=(1, 1))
    pictures = store.of(item)
    assert pictures.size == samples.scene().shape[:2]
    item.source.unlink()
    assert store.of(item) == pictures


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"output": 3}', b"\xff\xfe"])
def test_a_damaged_file_of_pictures_is_written_anew(store, item, damage):
    store.keep(item, photo(samples.scene()), photo(samples.scene()))
    (file,) = store._folder.iterdir()
    file.write_bytes(damage)
    assert store.of(item) is not None
    assert file.read_bytes() != damage


def test_photos_in_place_are_compared_with_what_was_kept_of_them(store, item):
    backup = item.source.rename(item.source.with_name("rose.orig.png"))
    item.output.rename(item.source)
    in_place = Item(item.source, item.source, key="rose.png", backup_output=backup)
    pictures = store.of(in_place)
    assert not np.array_equal(shown(pictures.before), shown(pictures.after))
    without = Item(item.source, item.source, key="other.png")
    assert store.of(without) is None


def test_there_are_no_pictures_where_a_file_is_gone_or_only_a_part_was_restored(store, item):
    item.output.write_bytes(samples.png(samples.scene(20, 20)))
    assert store.of(item) is None
    item.output.unlink()
    assert store.of(item) is None


def test_a_photo_that_is_done_does_not_fail_for_its_pictures(store, item, tmp_path):
    (tmp_path / "home").write_bytes(b"in the way")
    store.keep(item, photo(samples.scene()), photo(samples.scene()))


def test_restoring_keeps_the_pictures_of_what_it_saves(tmp_path, store):
    source = tmp_path / "rose.png"
    source.write_bytes(samples.png(samples.scene()))
    item = Item(source, tmp_path / "rose_restored.png", key="rose.png")
    streams = Streams(lambda: b"", lambda content: None)
    work = Restoring(
        Treatment(program="test 1.0"),
        lambda bits: Restorer(brighter(0.2)),
        streams,
        may_overwrite=False,
        pictures=store,
    )
    work.compute(item, work.read(item), lambda share: None).save()
    source.unlink()  # what is shown now was kept
    pictures = store.of(item)
    assert shown(pictures.after).mean() > shown(pictures.before).mean() + 20
