"""Fine-tuning small enough for tests: a FocusNet of a few thousand weights, pairs of 160 px."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from defocusfix.network_spec import NetworkSpec
from defocusfix.networks.focusnet import FocusNet, Shape
from defocusfix.registration.exposure import to_display, to_linear
from defocusfix.training.finetuning.settings import FinetuneSettings
from defocusfix.training.weights import write_weights
from tests.evaluation.scenes import blurred, texture

SIZE = (160, 176)
SHIFT = (3, -2)  # of the sharp photo, to the right and down
RIM = 4
SPEC = NetworkSpec(
    name="small",
    architecture="focusnet-s",
    size_multiple=16,
    halo=64,
    levels=3,
    licence="Apache-2.0",
    training_data="nothing at all",
)


def small_focusnet() -> FocusNet:
    """In the place of focusnet-s."""
    return FocusNet(
        Shape((8, 12), encoder_blocks=(1,), decoder_blocks=(1,), middle=1),
        Shape((4, 6), encoder_blocks=(1,), decoder_blocks=(1,), middle=1),
        levels=3,
    )


def write_base(path: Path) -> Path:
    """Weights that restore everywhere, but little: their map says "blurred" throughout."""
    torch.manual_seed(0)
    network = small_focusnet()
    with torch.no_grad():
        network.map.tail.weight.zero_()
        network.map.tail.bias.fill_(1.0)
        network.tail.weight.mul_(0.01)
    write_weights(path, network.state_dict(), SPEC)
    return path


def write_lens(root: Path, scenes: int = 9) -> tuple[Path, Path]:
    """Pairs as of one lens: each scene is blurred alike, and the camera moved a few pixels."""
    height, width = (side + 2 * RIM for side in SIZE)
    for number in range(scenes):
        scene = texture(height, width, seed=number)
        across, down = SHIFT
        sharp = scene[RIM + down : RIM + down + SIZE[0], RIM + across : RIM + across + SIZE[1]]
        light = blurred(to_linear(scene), 1.0)[RIM:-RIM, RIM:-RIM]  # where a lens blurs
        _write(root, number, to_display(light), sharp)
    return root / "blurry", root / "sharp"


def write_unlearnable(root: Path, scenes: int = 9) -> tuple[Path, Path]:
    """Pairs whose sharp photo has detail of which the blurred one knows nothing."""
    for number in range(scenes):
        scene = blurred(texture(*SIZE, seed=number), 2.0)
        other = texture(*SIZE, seed=100 + number)
        _write(root, number, scene, scene + 0.4 * (other - blurred(other, 1.0)))
    return root / "blurry", root / "sharp"


def write_noise(root: Path, scenes: int = 9) -> tuple[Path, Path]:
    """Pairs that differ by their noise alone."""
    rng = np.random.default_rng(0)
    for number in range(scenes):
        scene = texture(*SIZE, seed=number)
        _write(root, number, *(scene + rng.normal(0, 0.05, (2, *scene.shape))))
    return root / "blurry", root / "sharp"


def _write(root: Path, number: int, blurry: np.ndarray, sharp: np.ndarray) -> None:
    for folder, image in (("blurry", blurry), ("sharp", sharp)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        pixels = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / folder / f"{number:02d}.png")


def small_settings(root: Path, base: Path, **changed) -> FinetuneSettings:
    """A short run on the pairs under `root`."""
    settings = {
        "blurry": root / "blurry",
        "sharp": root / "sharp",
        "base": base,
        "folds": 0,
        "steps": 60,
        "learning_rate": 4e-3,
        "changes": ("recipe.reblur.width=4", "recipe.data.crop_px=64", "recipe.batch_size=2"),
    }
    return FinetuneSettings(**(settings | changed))
