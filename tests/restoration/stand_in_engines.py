"""Engines made of a few lines of numpy, for what no real network would do on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from defocusfix.engines.engine import Engine
from defocusfix.errors import DeviceMemoryError
from defocusfix.network_spec import NetworkSpec

Arrays = dict[str, np.ndarray]


class NumpyEngine:
    """`compute` gets image and coarse, None for one level, and gives restored and radius_px."""

    name, device = "numpy", "cpu"

    def __init__(
        self,
        compute: Callable[[np.ndarray, np.ndarray | None], tuple[np.ndarray, np.ndarray]],
        *,
        levels: int = 3,
        halo: int = 16,
        precision: str = "fp32",
    ) -> None:
        self.spec = NetworkSpec(
            name="stand-in", architecture="test", size_multiple=16, halo=halo, levels=levels
        )
        self.precision = precision
        self.windows: list[tuple[int, int]] = []
        self._compute = compute

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        self.windows.append(inputs["image"].shape[2:])
        restored, radius_px = self._compute(inputs["image"], inputs.get("coarse"))
        return {
            "restored": restored.astype(np.float32),
            "radius_px": np.broadcast_to(radius_px, restored[:, :1].shape).astype(np.float32),
        }


def brighter(amount: float = 0.1, *, radius_px: float = 2.0, levels: int = 3) -> NumpyEngine:
    """Adds `amount` and says the same radius everywhere."""

    def compute(image: np.ndarray, coarse: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        return image + amount, np.array(radius_px)

    return NumpyEngine(compute, levels=levels)


# What `read_from_red` changes where the finest size computed is full, half or a quarter.
CHANGE_BY_SIZE = {1: 0.175, 2: 0.15, 4: 0.1}


def read_from_red() -> NumpyEngine:
    """Reads the radius from red, 12 px for 1, but half as much at the smallest size.

    Every level adds 0.1 to the picture, and half of what the level below has added.
    """

    def compute(image: np.ndarray, coarse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        _, _, height, width = image.shape
        small = image.reshape(1, 3, height // 2, 2, width // 2, 2).mean(axis=(3, 5))
        below = (coarse[:, :3] - small).repeat(2, axis=2).repeat(2, axis=3)
        is_smallest = coarse[0, 3].max() < 0
        return image + 0.1 + below / 2, image[:, :1] * (6 if is_smallest else 12)

    return NumpyEngine(compute)


class LimitedEngine:
    """Another engine with memory for windows of so many pixels."""

    def __init__(self, engine: Engine, most_pixels: int, error: Exception | None = None) -> None:
        self.spec, self.name, self.device = engine.spec, engine.name, engine.device
        self.precision = engine.precision
        self.most_pixels = most_pixels
        self.windows: list[tuple[int, int]] = []
        self._engine = engine
        self._error = error or DeviceMemoryError("memory ran out on cpu")

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        height, width = inputs["image"].shape[2:]
        self.windows.append((height, width))
        if height * width > self.most_pixels:
            raise self._error
        return self._engine.run(inputs)
