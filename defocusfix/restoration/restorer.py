"""One picture in, one picture out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from defocusfix.bundled import bundled_models_folder
from defocusfix.engines.engine import Engine
from defocusfix.engines.select import open_engine
from defocusfix.errors import ModelError, UsageError
from defocusfix.network_spec import NetworkSpec
from defocusfix.restoration.defocus_map import DefocusMap
from defocusfix.restoration.pyramid import Report, run_levels
from defocusfix.restoration.settings import RestoreSettings
from defocusfix.restoration.tiles import Cut

DEFAULT_MODEL = "focusnet-s"
MODEL_FILE = "model.onnx"
WHOLE = 2**30  # a tile larger than any photo
USUAL_TILE = 768  # pixels; larger ones gained nothing on a CPU
TILE_PER_HALO = 6  # a window this many times its halo computes 9/4 of what it keeps


@dataclass(frozen=True, slots=True, eq=False)
class Restoration:
    """A restored picture, and what was done to get it."""

    image: npt.NDArray[np.float32]
    """(H, W, 3) in [0, 1]."""
    defocus_map: DefocusMap | None
    """Blur of the input; None if the network gives no map."""
    model: str
    """Name of the weights."""
    engine: str
    """Library that computed, with its version."""
    device: str
    """Device really used."""
    n_tiles: int
    """Tiles computed, over all levels."""
    seconds: float
    """Time it took."""

    @property
    def radius_px(self) -> npt.NDArray[np.float32] | None:
        """(H, W) blur radius of the input in its pixels; None if the network gives no map."""
        return None if self.defocus_map is None else self.defocus_map.radius_px


class Restorer:
    """An engine and settings, ready for any number of pictures.

    Raises UsageError if the tiles of `settings` are too small for the network.
    """

    def __init__(self, engine: Engine, settings: RestoreSettings | None = None) -> None:
        self.engine = engine
        self.settings = settings or RestoreSettings()
        self._cut = _cut(engine, self.settings)

    @property
    def spec(self) -> NetworkSpec:
        """What the network needs and gives."""
        return self.engine.spec

    def __call__(
        self, image: npt.NDArray[np.float32], *, report: Report | None = None
    ) -> Restoration:
        """Restore one picture.

        image: (H, W, 3) float32 in [0, 1], display-encoded RGB, at least one pixel. Not changed.
        report: told the share of the work after every tile.
        Raises ValueError for any other array; DeviceError if memory runs out; ModelError if the
        network gives values that are not numbers.
        """
        _check(image)
        start = time.perf_counter()
        level, n_tiles = run_levels(
            self.engine,
            np.ascontiguousarray(image.transpose(2, 0, 1)),
            self._cut,
            report or _say_nothing,
        )
        restored = np.clip(level.restored.transpose(1, 2, 0), 0, 1)
        if self.settings.strength != 1:
            restored -= image
            restored *= np.float32(self.settings.strength)
            restored += image
        radius_px = level.radius_px
        return Restoration(
            image=np.ascontiguousarray(restored),
            defocus_map=None if radius_px is None else DefocusMap(np.ascontiguousarray(radius_px)),
            model=self.engine.spec.name,
            engine=self.engine.name,
            device=self.engine.device,
            n_tiles=n_tiles,
            seconds=time.perf_counter() - start,
        )


def open_restorer(
    model: str | Path | None = None,
    *,
    settings: RestoreSettings | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Restorer:
    """Load weights and make them ready.

    model: an ONNX file made by `defocusfix export`, a folder that holds one as `model.onnx`, or
    the name of bundled weights; None for the default ones. device: `auto`, `cpu`, or `cuda`, which
    is a demand. threads: of the CPU; None takes one per physical core.

    Raises ModelError, DeviceError or UsageError.
    """
    engine = open_engine(model_file(model), device=device, threads=threads)
    return Restorer(engine, settings)


def model_file(model: str | Path | None = None) -> Path:
    """The ONNX file that `model` names; see `open_restorer`. Raises ModelError if there is none."""
    if model is not None:
        path = Path(model)
        if path.is_dir():
            return path / MODEL_FILE
        if path.exists() or path.suffix or path.name != str(model):
            return path
    bundled = bundled_models_folder()
    file = bundled / (DEFAULT_MODEL if model is None else str(model)) / MODEL_FILE
    if not file.is_file():
        known = sorted(found.parent.name for found in bundled.glob(f"*/{MODEL_FILE}"))
        raise ModelError(
            f"there is no bundled model {file.parent.name!r}",
            why=f"bundled are: {', '.join(known) or 'none'}",
            fix="give the path of an ONNX file with --model",
        )
    return file


def _cut(engine: Engine, settings: RestoreSettings) -> Cut:
    spec = engine.spec
    usual = max(USUAL_TILE, TILE_PER_HALO * spec.halo)
    window = usual if settings.tile is None else settings.tile or WHOLE
    try:
        return Cut(
            window=window, overlap=settings.overlap, halo=spec.halo, multiple=spec.size_multiple
        )
    except ValueError as error:
        raise UsageError(
            f"--tile {settings.tile} is too small for the model {spec.name}", why=str(error)
        ) from error


def _check(image: npt.NDArray[np.float32]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"image must be (H, W, 3) with at least one pixel, got {image.shape}")
    if image.dtype != np.float32:
        raise ValueError(f"image must be float32, got {image.dtype}")
    if not (image.min() >= 0 and image.max() <= 1):
        raise ValueError("image must lie in [0, 1]")


def _say_nothing(share: float) -> None:
    """Progress nobody asked for."""
