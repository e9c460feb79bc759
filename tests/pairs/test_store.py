"""Decoded photos on disk: read once, found again, never older than their originals."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from PIL import Image

from defocusfix.errors import OutputError
from defocusfix.pairs import geometry, measures, store
from defocusfix.pairs.find import pairs_of_folders
from defocusfix.pairs.store import PairStore
from tests.training.misaligned import write_pairs


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "LEAST_KEPT_PIXELS", 1)
    return pairs_of_folders(*write_pairs(tmp_path, 2, matrix=np.array([[1, 0, 5], [0, 1, 3]])))


def decoded(monkeypatch) -> list[str]:
    """Names of the photos that are decoded from now on."""
    names: list[str] = []
    read = store.read_photo

    def noted(path):
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(store, "read_photo", noted)
    return names


def test_a_photo_is_decoded_once_for_all_runs(pairs, tmp_path, monkeypatch):
    names = decoded(monkeypatch)
    first = PairStore(pairs, folder=tmp_path / "kept")
    assert isinstance(first[0].blurred, np.memmap)
    assert np.array_equal(first[0].blurred, np.asarray(Image.open(pairs[0].blurred)))
    again = PairStore(pairs, folder=tmp_path / "kept")
    assert np.array_equal(again[0].all_in_focus, first[0].all_in_focus)
    assert names == ["00.png", "00.png"]


def test_geometry_is_found_once_for_all_runs(pairs, tmp_path, monkeypatch):
    first = PairStore(pairs, folder=tmp_path / "kept").geometry(0)
    monkeypatch.setattr(measures, "find_geometry", None)
    again = PairStore(pairs, folder=tmp_path / "kept").geometry(0)
    assert np.array_equal(first.matrix, again.matrix)
    assert np.array_equal(first.gains, again.gains)
    assert again.is_found
    assert again.shift_at(50, 50) == pytest.approx((5, 3), abs=0.25)


def test_geometry_found_on_reduced_photos_is_that_of_the_whole_ones(tmp_path, monkeypatch):
    turn = 0.02
    matrix = np.array([[np.cos(turn), -np.sin(turn), 9], [np.sin(turn), np.cos(turn), -7]])
    pairs = pairs_of_folders(*write_pairs(tmp_path, 1, matrix=matrix, size=(240, 320)))
    monkeypatch.setattr(geometry, "ALIGNED_PIXELS", 240 * 320 // 4)
    found = PairStore(pairs).geometry(0)
    for x, y in ((0, 0), (319, 0), (0, 239), (319, 239)):
        expected = matrix @ [x, y, 1] - [x, y]
        assert found.shift_at(x, y) == pytest.approx(tuple(expected), abs=0.5)


def test_a_photo_that_changed_is_read_anew(pairs, tmp_path):
    first = PairStore(pairs, folder=tmp_path / "kept")[0].blurred.copy()
    Image.fromarray(255 - first).save(pairs[0].blurred)
    os.utime(pairs[0].blurred, ns=(1, 1))
    assert np.array_equal(PairStore(pairs, folder=tmp_path / "kept")[0].blurred, 255 - first)


def test_each_scale_is_kept_on_its_own(pairs, tmp_path):
    whole = PairStore(pairs, folder=tmp_path / "kept")[0]
    half = PairStore(pairs, folder=tmp_path / "kept", scale=2)[0]
    assert half.size == (56, 72)
    means = whole.blurred.reshape(56, 2, 72, 2, 3).mean(axis=(1, 3))
    assert np.abs(half.blurred - means).max() <= 0.5


def test_small_photos_are_not_kept(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "LEAST_KEPT_PIXELS", 10**6)
    assert not isinstance(PairStore(pairs, folder=tmp_path / "kept")[0].blurred, np.memmap)
    assert not (tmp_path / "kept").exists()


def test_a_temporary_folder_goes_with_its_store(pairs):
    found = PairStore(pairs)
    folder = found._folder
    assert found[0].size == (112, 144)
    assert folder.exists()
    del found
    assert not folder.exists()


def test_several_threads_may_ask_at_once(pairs, tmp_path, monkeypatch):
    names = decoded(monkeypatch)
    found = PairStore(pairs, folder=tmp_path / "kept")
    threads = [threading.Thread(target=found.__getitem__, args=(n % 2,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names) == ["00.png", "00.png", "01.png", "01.png"]
    assert not list((tmp_path / "kept").glob("*.part"))


def test_a_folder_that_cannot_be_written_is_refused_with_its_name(pairs, tmp_path):
    (tmp_path / "kept").write_text("a file, no folder")
    with pytest.raises(OutputError, match="kept"):
        PairStore(pairs, folder=tmp_path / "kept")[0]
