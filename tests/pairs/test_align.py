"""Aligned copies: they lie over each other, keep everything, and never touch an original."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from defocusfix.errors import InputError, OutputError
from defocusfix.pairs.align import AlignSettings, align_pair, planned
from defocusfix.pairs.find import PairFiles
from defocusfix.pairs.geometry import common_box
from defocusfix.photo.camera import camera_of
from defocusfix.photo.read import read_photo
from tests.pairs.photographed import (
    as_8_bits,
    defocused,
    moved,
    scene,
    similarity,
    write_pair,
)
from tests.photo import sample_files as samples

MATRIX = similarity(2.0, 1.03, 12, -7)


def one_pair(root, matrix: np.ndarray = MATRIX) -> PairFiles:
    write_pair(root, "a.png", 0, matrix=matrix)
    return PairFiles("a", root / "blurry" / "a.png", root / "sharp" / "a.png")


def test_the_copies_lie_over_each_other_where_the_mask_says(tmp_path):
    files = one_pair(tmp_path)
    done = align_pair(files, AlignSettings(tmp_path / "out"))
    sharp = read_photo(done.sharp).pixels.astype(float)
    valid = read_photo(done.valid).pixels[..., 0]
    assert set(np.unique(valid)) == {0, 255}
    error = np.abs(sharp - as_8_bits(scene(0)).astype(float)).mean(axis=2)[valid == 255].mean()
    apart = np.abs(read_photo(files.all_in_focus).pixels - as_8_bits(scene(0)).astype(float)).mean()
    assert error < apart / 3
    assert 0.8 < (valid == 255).mean() < 0.97


def test_the_blurry_photo_stays_as_it_is_and_originals_are_only_read(tmp_path):
    files = one_pair(tmp_path)
    originals = (files.blurred, files.all_in_focus)
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in originals]
    done = align_pair(files, AlignSettings(tmp_path / "out"))
    assert np.array_equal(read_photo(done.blurred).pixels, read_photo(files.blurred).pixels)
    assert before == [(path.read_bytes(), path.stat().st_mtime_ns) for path in originals]


def test_cropped_copies_show_nothing_that_only_one_photo_shows(tmp_path):
    done = align_pair(one_pair(tmp_path), AlignSettings(tmp_path / "out", crops=True))
    assert done.valid is None
    blurred, sharp = read_photo(done.blurred).pixels, read_photo(done.sharp).pixels
    assert blurred.shape == sharp.shape
    assert blurred.shape[0] * blurred.shape[1] > 0.75 * 288 * 384
    assert not (tmp_path / "out" / "valid").exists()


@given(st.floats(-8, 8), st.floats(0.9, 1.1), st.floats(-60, 60), st.floats(-60, 60))
def test_every_pixel_of_the_common_box_is_in_the_sharp_photo(degrees, zoom, x, y):
    matrix = similarity(degrees, zoom, x, y)
    left, top, right, bottom = common_box(matrix, (288, 384))
    assert 0 <= left < right <= 384
    assert 0 <= top < bottom <= 288
    for column, row in ((left, top), (right - 1, top), (left, bottom - 1), (right - 1, bottom - 1)):
        there = matrix @ [column, row, 1]
        assert -1e-6 <= there[0] <= 383 + 1e-6
        assert -1e-6 <= there[1] <= 287 + 1e-6


def test_nothing_in_common_cannot_be_cropped():
    with pytest.raises(InputError, match="nothing in common"):
        common_box(similarity(0, 1, 500, 0), (288, 384))


def test_16_bits_profile_and_metadata_are_kept(tmp_path):
    sharp = scene(0)
    for folder, image in (("blurry", defocused(sharp, 3)), ("sharp", moved(sharp, MATRIX))):
        (tmp_path / folder).mkdir()
        deep = np.rint(image.clip(0, 1) * 65535).astype(np.uint16)
        tifffile.imwrite(
            tmp_path / folder / "a.tif",
            deep,
            photometric="rgb",
            iccprofile=samples.PROFILE,
            extratags=[(271, 2, 0, "a camera", True)],
        )
    files = PairFiles("a", tmp_path / "blurry" / "a.tif", tmp_path / "sharp" / "a.tif")
    done = align_pair(files, AlignSettings(tmp_path / "out"))
    assert done.sharp.suffix == ".tif"
    for path in (done.blurred, done.sharp):
        photo = read_photo(path)
        assert photo.pixels.dtype == np.uint16
        assert photo.icc_profile == samples.PROFILE
        assert camera_of(photo).name == "a camera"
        assert len(np.unique(photo.pixels)) > 1000


@pytest.mark.parametrize(("kept", "suffix"), [("lossless", ".png"), ("keep", ".jpg")])
def test_a_jpeg_becomes_a_png_unless_its_format_is_to_be_kept(tmp_path, kept, suffix):
    write_pair(tmp_path, "a.png", 0, matrix=MATRIX)
    for folder in ("blurry", "sharp"):
        path = tmp_path / folder / "a.jpg"
        Image.open(path.with_suffix(".png")).save(path, quality=95)
    files = PairFiles("a", tmp_path / "blurry" / "a.jpg", tmp_path / "sharp" / "a.jpg")
    done = align_pair(files, AlignSettings(tmp_path / "out", file_format=kept))
    assert (done.blurred.suffix, done.sharp.suffix) == (suffix, suffix)
    assert read_photo(done.sharp).format == {".png": "png", ".jpg": "jpeg"}[suffix]


def test_nothing_is_overwritten_unasked_and_an_original_never(tmp_path):
    files = one_pair(tmp_path)
    settings = AlignSettings(tmp_path / "out")
    done = align_pair(files, settings)
    done.sharp.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already"):
        align_pair(files, settings)
    assert done.sharp.read_bytes() == b"precious"
    align_pair(files, AlignSettings(tmp_path / "out", may_overwrite=True))
    assert read_photo(done.sharp).width == 384
    with pytest.raises(OutputError, match="is an original"):
        planned(files, AlignSettings(tmp_path, may_overwrite=True))
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(OutputError, match="is an original"):
        planned(files, AlignSettings(link, may_overwrite=True))


def test_pairs_that_cannot_be_aligned_leave_nothing_behind(tmp_path):
    files = one_pair(tmp_path)
    Image.fromarray(as_8_bits(scene(5))).save(files.all_in_focus)
    with pytest.raises(InputError, match="cannot be aligned"):
        align_pair(files, AlignSettings(tmp_path / "out"))
    Image.new("RGB", (60, 60)).save(files.all_in_focus)
    with pytest.raises(InputError, match="differ in size"):
        align_pair(files, AlignSettings(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
