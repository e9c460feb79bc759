"""One training pair before it is rendered: everything random about it, no torch, easy to send."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from defocusfix.rendering.camera import Camera, random_camera
from defocusfix.rendering.photos import PhotoLibrary
from defocusfix.rendering.scenes import Scene, random_scene


@dataclass(frozen=True)
class Sample:
    """A scene, the camera that photographs it, and the seed of the noise in the photo."""

    scene: Scene
    camera: Camera
    noise_seed: int


def random_sample(rng: np.random.Generator, library: PhotoLibrary | None, size: int) -> Sample:
    """A pair of (size, size) crops to be rendered; all randomness comes from `rng`."""
    scene = random_scene(rng, library, size)
    return Sample(scene, random_camera(rng), int(rng.integers(2**63)))
