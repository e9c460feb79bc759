"""Checkpoints of DRBNet, for photos and for dual-pixel photos, on their way to a restored photo."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from defocusfix.engines.foreign import write_facts
from defocusfix.engines.model_file import read_spec
from defocusfix.engines.pytorch import PyTorchEngine
from defocusfix.networks import build
from defocusfix.networks.build import build_network
from defocusfix.networks.drbnet import DualPixelDRBNet
from defocusfix.photo.read import read_photo
from defocusfix.restoration import Restorer
from defocusfix.training.conversion import spec_of
from tests.photo import sample_files as samples


def test_the_network_says_what_its_weights_need():
    single, dual = spec_of("drbnet"), spec_of("drbnet-dual-pixel")
    assert (single.name, single.architecture) == ("drbnet", "drbnet")
    assert single.inputs == ("image",)
    assert dual.inputs == ("image", "right", "left")
    for spec in (single, dual):
        assert (spec.value_range, spec.size_multiple, spec.levels) == ((-1.0, 1.0), 8, 1)
        assert spec.outputs == ("restored",)
        assert (spec.halo, spec.tile, spec.overlap) == (96, 768, 16)


def random_network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(name).eval()


def by_hand(network: torch.nn.Module, *pictures: np.ndarray) -> np.ndarray:
    """What torch makes of pictures (H, W, 3) in [0, 1], H and W multiples of 8."""
    batches = [torch.from_numpy(2 * p.transpose(2, 0, 1)[None] - 1) for p in pictures]
    with torch.no_grad():
        return (network(*batches)[0].permute(1, 2, 0).numpy() + 1) / 2


def test_torch_runs_weights_of_dual_pixel_photos(tmp_path, monkeypatch):
    monkeypatch.setitem(build.BUILDERS, "drbnet-dual-pixel", partial(DualPixelDRBNet, width=4))
    network, path = random_network("drbnet-dual-pixel"), tmp_path / "w.safetensors"
    save_file(network.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    write_facts(path, spec_of("drbnet-dual-pixel"), digest)
    photo, left, right = np.random.default_rng(0).random((3, 48, 64, 3), np.float32)
    restorer = Restorer(PyTorchEngine(path, threads=1))
    found = restorer(photo, views=(left, right)).image
    np.testing.assert_allclose(found, by_hand(network, photo, right, left), atol=1e-5)
    swapped = restorer(photo, views=(right, left)).image
    assert np.abs(found - swapped).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["drbnet", "drbnet-dual-pixel"])
def test_a_checkpoint_is_imported_and_restores(defocusfix, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    network = random_network(name)
    weights = {f"module.{key}": tensor for key, tensor in network.state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "published.pth")
    told = defocusfix("models", "import", "published.pth", "--as", "mine")
    assert told.exit_code == 0, told.stderr
    spec = read_spec(Path(defocusfix("models", "path", "mine").stdout.strip()))
    assert (spec.name, spec.architecture) == ("mine", name)
    assert spec.value_range == (-1.0, 1.0)
    pictures = [np.roll(samples.scene(48, 64), shift, axis=1) for shift in (0, 2, -2)]
    for title, pixels in zip(("photo", "right", "left"), pictures, strict=True):
        (tmp_path / f"{title}.png").write_bytes(samples.png(pixels))
    views = ("--left", "left.png", "--right", "right.png") if spec.views else ()
    told = defocusfix(
        *("restore", "photo.png", "-m", "mine", *views),
        *("--engine", "onnxruntime", "--device", "cpu"),
    )
    assert told.exit_code == 0, told.stderr
    seen = [p.astype(np.float32) / 255 for p in pictures[: 3 if spec.views else 1]]
    expected = 255 * by_hand(network, *seen)
    found = read_photo(tmp_path / "photo_restored.png").pixels
    assert np.abs(found - expected).max() < 0.6
    assert np.abs(expected - pictures[0]).mean() > 3
