"""Networks of others: one pass over the photo, no map, and whatever size they are made for."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defocusfix.engines.foreign import write_facts
from defocusfix.engines.select import open_engine
from defocusfix.errors import DeviceError, ModelError, UsageError
from defocusfix.restoration import Restorer, RestoreSettings, open_restorer
from tests.restoration import small_networks

SEES = 2  # pixels, to each side, of the two convolutions of a stranger's graph


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


def engine_of(path: Path, *, facts: dict[str, object] | None = None, **kind: object):
    spec = replace(small_networks.of_a_stranger(path, **kind), **(facts or {}))
    write_facts(path, spec, hashlib.sha256(path.read_bytes()).hexdigest())
    return open_engine(path, engine="onnxruntime", device="cpu", threads=1)


@pytest.mark.parametrize("size", [(150, 230), (64, 64), (40, 200), (1, 1), (300, 17)])
@pytest.mark.parametrize("graph_size", [(64, 64), (72, 100), (50, 50)])
def test_a_graph_of_one_size_restores_any_photo_as_one_of_any_size_does(tmp_path, size, graph_size):
    photo = picture(*size)
    free = Restorer(engine_of(tmp_path / "free.onnx"), RestoreSettings(tile=0))(photo)
    height, width = graph_size
    engine = engine_of(tmp_path / "fixed.onnx", height=height, width=width, facts={"halo": 4})
    tiled = Restorer(engine)(photo)
    assert tiled.n_tiles >= size[0] * size[1] / (height * width)
    assert tiled.image.shape == photo.shape
    assert np.abs(tiled.image - photo).max() > 0.01
    # At the photo's own edge, what lies beyond is mirrored for one and empty for the other.
    inner = np.s_[SEES:-SEES, SEES:-SEES]
    assert np.abs(tiled.image[inner] - free.image[inner]).max(initial=0) < 1e-5


def test_a_graph_for_tiny_pictures_gets_the_halo_that_fits_and_none_at_all_is_refused(tmp_path):
    facts = {"halo": 60, "overlap": 64}
    engine = engine_of(tmp_path / "net.onnx", height=48, width=48, facts=facts)
    assert Restorer(engine)(picture(100, 100)).n_tiles > 4
    engine.spec = replace(engine.spec, tile=1, size_multiple=16)
    with pytest.raises(ModelError, match="tiles of 1 px, which the model strange takes"):
        Restorer(engine)


def test_a_tile_larger_than_the_graph_is_refused_when_it_comes_to_it(tmp_path):
    engine = engine_of(tmp_path / "net.onnx", height=64, width=64)
    restorer = Restorer(engine, RestoreSettings(tile=256))
    assert restorer(picture(50, 60)).n_tiles == 1
    with pytest.raises(DeviceError, match="takes no tiles of 200 x 100 px") as refusal:
        restorer(picture(100, 200))
    assert "leave --tile out" in str(refusal.value)


def test_tile_and_overlap_are_those_that_suit_the_network_unless_others_are_wished_for(tmp_path):
    heavy = {"tile": 96, "overlap": 8, "halo": 8}
    engine = engine_of(tmp_path / "net.onnx", facts=heavy)
    photo = picture(300, 300)
    assert Restorer(engine)(photo).n_tiles == 25
    assert Restorer(engine, RestoreSettings(tile=0))(photo).n_tiles == 1
    assert Restorer(engine, RestoreSettings(tile=320))(photo).n_tiles == 1
    with pytest.raises(UsageError, match="--tile 32 is too small"):
        Restorer(engine, RestoreSettings(tile=32))


@pytest.mark.parametrize("scale", ["auto", 1, 2, 4])
def test_a_network_without_a_map_works_at_every_scale(tmp_path, scale):
    restorer = Restorer(engine_of(tmp_path / "net.onnx"), RestoreSettings(scale=scale, tile=96))
    found = restorer(picture(130, 170))
    assert found.image.shape == (130, 170, 3)
    assert found.defocus_map is None
    assert found.scales == {1 if scale == "auto" else scale: 1.0}


def test_without_a_map_black_places_of_a_mask_are_not_computed(tmp_path):
    engine = engine_of(tmp_path / "net.onnx", facts={"halo": 4})
    restorer = Restorer(engine, RestoreSettings(tile=64))
    pixels = (picture(400, 400) * 255).astype(np.uint8)
    mask = np.zeros((400, 400), np.float32)
    mask[:60, :60] = 1
    whole, part = restorer.restore_pixels(pixels), restorer.restore_pixels(pixels, mask=mask)
    assert part.n_tiles < whole.n_tiles / 4
    assert part.scales[0] > 0.5
    assert np.array_equal(part.pixels[60:], pixels[60:])
    inner = np.s_[10:40, 10:40]
    assert np.array_equal(part.pixels[inner], whole.pixels[inner])


def test_with_a_map_a_network_of_one_level_still_looks_at_black_places_for_it(tmp_path):
    small_networks.addition(tmp_path / "net.onnx", 0.1)
    restorer = open_restorer(tmp_path / "net.onnx", engine="onnxruntime", device="cpu", threads=1)
    found = restorer.restore_pixels(
        np.full((40, 40, 3), 99, np.uint8), mask=np.zeros((40, 40), np.float32)
    )
    assert (found.radius_px == 3).all()
    assert (found.pixels == 99).all()


@pytest.mark.parametrize("value_range", [(0.0, 255.0), (-1.0, 1.0)])
def test_a_network_of_others_sees_its_own_range_of_values(tmp_path, value_range):
    black, white = value_range
    small_networks.image_to_restored(tmp_path / "net.onnx", value_range=value_range)
    engine = open_engine(tmp_path / "net.onnx", engine="onnxruntime", device="cpu", threads=1)
    seen = []
    run = engine.run

    def looking(inputs):
        seen.append(inputs["image"])
        return run(inputs)

    engine.run = looking
    Restorer(engine)(np.linspace(0, 1, 3 * 16 * 16, dtype=np.float32).reshape(16, 16, 3))
    assert (seen[0].min(), seen[0].max()) == (black, white)
