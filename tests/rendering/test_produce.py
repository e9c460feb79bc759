"""Sets and their sources: resuming, screening, reading."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from defocusfix.errors import InputError
from defocusfix.pairs.rendered import RenderedSet, shard_folder
from defocusfix.rendering.photos import PhotoLibrary, dead_leaves, sharp_share
from defocusfix.rendering.produce import RenderSettings, render_set


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(2):
        picture = dead_leaves(np.random.default_rng(seed), 256)
        cv2.imwrite(str(folder / f"{seed}.png"), picture)
    return folder


def test_a_set_goes_on_where_it_stopped_and_ends_the_same(tmp_path, photos):
    settings = RenderSettings((photos,), size=64, count=4, seed=5, shard_size=2)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert list(render_set(settings, whole, processes=1)) == [0, 2, 4]
    list(render_set(settings, cut, processes=1))
    for file in shard_folder(cut, 1).iterdir():
        file.unlink()
    shard_folder(cut, 1).rmdir()
    assert list(render_set(settings, cut, processes=1)) == [2, 4]
    for index in range(4):
        for a, b in zip(RenderedSet(whole)[index], RenderedSet(cut)[index], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("count", "whole"), [(1, 3), (3, 3), (4, 6)])
def test_a_set_is_of_whole_shards(tmp_path, count, whole):
    settings = RenderSettings((), size=32, count=count, seed=0, shard_size=3)
    assert settings.whole_count == whole
    assert list(render_set(settings, tmp_path, processes=1))[-1] == whole
    assert len(RenderedSet(tmp_path)) == whole


def test_a_folder_without_photos_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no photos"):
        PhotoLibrary([tmp_path])


def test_screening_tells_a_sharp_crop_from_a_blurred_one():
    sharp = dead_leaves(np.random.default_rng(0), 256)
    assert sharp_share(sharp) > 0.9
    assert sharp_share(cv2.GaussianBlur(sharp, (0, 0), 1.5)) < 0.2
    assert sharp_share(np.full((64, 64, 3), 90, np.uint8)) == 0


def test_a_photo_smaller_than_the_crop_still_serves(photos):
    crop = PhotoLibrary([photos]).crop(np.random.default_rng(0), 320)
    assert crop.shape == (320, 320, 3)


def test_no_more_photos_are_kept_than_fit(photos, monkeypatch):
    monkeypatch.setattr("defocusfix.rendering.photos.KEPT_BYTES", 256 * 256 * 3)
    small, large = PhotoLibrary([photos]), PhotoLibrary([photos])
    for seed in range(8):
        crops = [lib.crop(np.random.default_rng(seed), 64) for lib in (small, large)]
        np.testing.assert_array_equal(*crops)
        assert sum(photo.nbytes for photo in small._photos.values()) <= 256 * 256 * 3
