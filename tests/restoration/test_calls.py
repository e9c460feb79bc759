"""Too little memory, and tiles that come back as nonsense."""

from __future__ import annotations

import numpy as np
import pytest

from defocusfix.engines.select import open_engine
from defocusfix.errors import DeviceMemoryError, ModelError
from defocusfix.restoration import Restorer, RestoreSettings
from tests.restoration import small_networks
from tests.restoration.stand_in_engines import LimitedEngine, NumpyEngine, brighter

FULL_SIZE = RestoreSettings(scale=1, tile=256)


def picture(height: int = 300, width: int = 280) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "net.onnx"
    small_networks.convolutions(path)
    return open_engine(path, engine="onnxruntime", device="cpu", threads=1)


@pytest.mark.parametrize("error", [DeviceMemoryError("too large"), MemoryError()], ids=repr)
@pytest.mark.parametrize("side", [180, 120, 100])
def test_where_memory_runs_out_smaller_pieces_give_the_same_photo(engine, side, error):
    photo = picture()
    limited = LimitedEngine(engine, side * side, error)
    restoration = Restorer(limited, FULL_SIZE)(photo)
    expected = Restorer(engine, FULL_SIZE)(photo)
    assert np.abs(restoration.pixels - expected.pixels).max() < 1e-5
    assert restoration.n_tiles == expected.n_tiles
    assert any("memory was short" in note for note in restoration.notes)
    assert expected.notes == ()


def test_once_memory_ran_out_later_tiles_and_photos_start_with_smaller_pieces(engine):
    limited = LimitedEngine(engine, 180 * 180)
    restorer = Restorer(limited, FULL_SIZE)
    restorer(picture())
    too_large = [h * w > 180 * 180 for h, w in limited.windows]
    assert sum(too_large) == 1
    limited.windows.clear()
    restoration = restorer(picture())
    assert all(h * w <= 180 * 180 for h, w in limited.windows)
    assert any("memory was short" in note for note in restoration.notes)


def test_too_little_memory_for_the_smallest_pieces_is_a_clear_error(engine):
    limited = LimitedEngine(engine, 0)
    with pytest.raises(DeviceMemoryError, match="too little memory on cpu") as caught:
        Restorer(limited, FULL_SIZE)(picture())
    assert "smallest tiles" in str(caught.value)
    assert len(limited.windows) < 10


def spoiled(nonsense: str, *, every: int = 3) -> NumpyEngine:
    """An engine in bf16 whose every third tile is nonsense."""
    n_calls = 0

    def compute(image, coarse):
        nonlocal n_calls
        n_calls += 1
        restored = image + 0.1
        if n_calls % every == 0:
            if nonsense == "one number missing":
                restored[0, 0, 3, 5] = np.nan
            elif nonsense == "infinite":
                restored[:] = np.inf
            else:
                restored[:] = 0.5
        return restored, np.array(2.0)

    return NumpyEngine(compute, precision="bf16")


@pytest.mark.parametrize("nonsense", ["one number missing", "infinite", "flat"])
def test_nonsense_is_computed_again_in_fp32_and_said(nonsense):
    photo = picture()
    opened = []

    def exact():
        opened.append(brighter())
        return opened[-1]

    restorer = Restorer(spoiled(nonsense), FULL_SIZE, exact=exact)
    restoration = restorer(photo)
    expected = Restorer(brighter(), FULL_SIZE)(photo)
    assert np.abs(restoration.pixels - expected.pixels).max() < 1e-6
    assert any("computed again in fp32" in note for note in restoration.notes)
    restorer(photo)
    assert len(opened) == 1


@pytest.mark.parametrize("nonsense", ["one number missing", "flat"])
def test_nonsense_twice_is_an_error(nonsense):
    always = spoiled(nonsense, every=1)
    with pytest.raises(ModelError, match="not numbers"):
        Restorer(always, FULL_SIZE, exact=lambda: always)(picture())


def test_a_flat_photo_may_come_back_flat():
    photo = np.full((100, 100, 3), 0.5, np.float32)
    assert np.allclose(Restorer(brighter(), FULL_SIZE)(photo).pixels, 0.6)
