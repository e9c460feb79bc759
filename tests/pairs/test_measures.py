"""What is known of a pair is found again by its content, by a check as by a training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from defocusfix.errors import OutputError
from defocusfix.pairs import measures
from defocusfix.pairs.check import check_pairs
from defocusfix.pairs.find import PairFiles
from defocusfix.pairs.measures import PairMeasures
from defocusfix.pairs.store import PairStore, read_pair
from tests.pairs.photographed import SIZE, as_8_bits, scene, similarity, write_pair


@pytest.fixture
def files(tmp_path) -> PairFiles:
    write_pair(tmp_path, "a.png", 0, radius_px=10, matrix=similarity(0, 1, 8, -4))
    return PairFiles("a", tmp_path / "blurry" / "a.png", tmp_path / "sharp" / "a.png")


def never(*_: object) -> None:
    pytest.fail("measured once more")


def photos_of(files: PairFiles):
    pair = read_pair(files)
    return pair.blurred, pair.all_in_focus


def test_training_takes_what_the_check_has_measured(files, tmp_path, monkeypatch):
    (report,) = check_pairs([files], cache=tmp_path / "kept").pairs
    for name in ("find_geometry", "measure_blur"):
        monkeypatch.setattr(measures, name, never)
    store = PairStore([files], scale="auto", folder=tmp_path / "kept")
    assert store.scale_of(0) == report.scale == 2
    middle = [(side // 2 - 1) / 2 for side in reversed(SIZE)]
    assert store.geometry(0).shift_at(*middle) == pytest.approx((4, -2), abs=0.2)
    assert check_pairs([files], cache=tmp_path / "kept").pairs == (report,)


def test_photos_are_known_by_their_content_wherever_they_lie(files, tmp_path, monkeypatch):
    found = PairMeasures(tmp_path / "kept").blur(files, lambda: photos_of(files))
    assert found.size == SIZE
    moved = [path.rename(tmp_path / f"{path.parent.name}.png") for path in (
        files.blurred, files.all_in_focus)]  # fmt: skip
    elsewhere = PairFiles("b", *moved)
    assert PairMeasures(tmp_path / "kept").blur(elsewhere, never) == found
    geometry = PairMeasures(tmp_path / "kept").geometry(elsewhere, never)
    assert geometry.is_found
    swapped = replace(elsewhere, blurred=moved[1], all_in_focus=moved[0])
    again = PairMeasures(tmp_path / "kept").blur(swapped, lambda: photos_of(swapped))
    assert again.blur.share_reversed == pytest.approx(found.blur.share_blurred, abs=0.1)


def test_a_photo_that_was_edited_is_measured_anew(files, tmp_path):
    known = PairMeasures(tmp_path / "kept")
    before = known.blur(files, lambda: photos_of(files)).blur
    Image.fromarray(as_8_bits(scene(0))).save(files.blurred)
    after = known.blur(files, lambda: photos_of(files)).blur
    assert after.median_px < 1 < before.median_px


def test_without_a_folder_nothing_is_kept(files, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    check_pairs([files])
    geometry = PairMeasures(None).geometry(files, lambda: photos_of(files))
    assert np.allclose(geometry.matrix, similarity(0, 1, 8, -4), atol=0.5)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_takes_no_files_is_named(files, tmp_path):
    (tmp_path / "kept").write_text("a file, no folder")
    with pytest.raises(OutputError, match="kept"):
        check_pairs([files], cache=tmp_path / "kept")
