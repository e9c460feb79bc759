"""One picture in, one picture out."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from defocusfix.bundled import bundled_models_folder
from defocusfix.catalogue.places import find_places
from defocusfix.catalogue.store import Store, find_weights, is_path
from defocusfix.engines.engine import Engine
from defocusfix.engines.mirrored import MirroredEngine
from defocusfix.engines.model_file import in_folder
from defocusfix.engines.select import open_engine
from defocusfix.errors import ModelError, UsageError
from defocusfix.network_spec import VIEWS, NetworkSpec
from defocusfix.photo.photo import Photo
from defocusfix.restoration.adjust import Finisher
from defocusfix.restoration.calls import Calls
from defocusfix.restoration.defocus_map import DefocusMap
from defocusfix.restoration.level import N_COLOURS
from defocusfix.restoration.mask import Mask
from defocusfix.restoration.pictures import Picture, as_mask, changed_picture, colours_of, opened
from defocusfix.restoration.pyramid import Report, run_levels
from defocusfix.restoration.settings import RestoreSettings
from defocusfix.restoration.stored import Pixels, check_pixels, to_image
from defocusfix.restoration.tiles import Cut, Span

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULT_MODEL = "focusnet-s"
MODEL_FILE = "model.onnx"
WHOLE = 2**30  # a tile larger than any photo
USUAL_PIXELS = 976**2  # larger ones save halo, but a photo of 24 MP should need under 700 MB
PIXELS_IN_FEW_BITS = {"bf16": 1024**2, "int8": 1100**2}  # which need less memory each
LONGEST = 2  # a side of a usual window, in those of a square one
TILE_PER_HALO = 6  # a window this many times its halo computes 9/4 of what it keeps
TILE_PER_OVERLAP = 8

Area = tuple[int, int, int, int]
"""x, y, width, height of a rectangle of a photo, in pixels."""
Views = tuple[Pixels, Pixels]
"""What the left and the right halves of the pixels of a dual-pixel sensor saw; as the photo, and of
its size."""


@dataclass(frozen=True, slots=True, eq=False)
class Restoration:
    """A restored picture, and what was done to get it."""

    pixels: Pixels
    """Restored values, of the kind and, for a whole photo, the shape of what was given."""
    defocus_map: DefocusMap | None
    """Blur of the input; None if the network gives no map."""
    model: str
    """Name of the weights."""
    engine: str
    """Library that computed, with its version."""
    device: str
    """Device really used."""
    precision: str
    """Arithmetic of the network: `fp32`, `bf16` or `fp16`."""
    scales: dict[int, float]
    """Share of the pixels by the finest size computed for them: 1 full, 2 half, 4 a quarter, 8 an
    eighth, 0 for what was left alone and has its exact values. The shares sum to one."""
    n_tiles: int
    """Tiles computed, over all levels."""
    seconds: float
    """Time it took."""
    notes: tuple[str, ...] = ()
    """What went other than planned, in words for the user."""

    @property
    def image(self) -> npt.NDArray[np.float32]:
        """(H, W, 3) float32 in [0, 1]; gray is repeated three times."""
        return to_image(self.pixels)

    @property
    def radius_px(self) -> npt.NDArray[np.float32] | None:
        """(H, W) blur radius of the input in its pixels; None if the network gives no map."""
        return None if self.defocus_map is None else self.defocus_map.radius_px


class Restorer:
    """A network, made ready, and settings: for any number of pictures, one at a time.

    engine: `auto` for the fastest engine that works here, the name of one, which is a demand, or
    an engine that is open already; the rest is for an engine that is yet to be opened:
    model: an ONNX file made by `defocusfix export`, the folder of a training run, or a name from
    the catalogue; None for the default weights. device, precision: `auto`, or a demand.
    output_bits: of a colour of the restored pictures, 8, 16 or 32; only for 8 may `auto` compute
    less exactly than fp32, and then pictures of more bits are still computed in fp32. threads: of
    the CPU; None takes one per physical core.
    exact: opens the network of an engine that is given in fp32, for tiles that come back as
    nonsense.

    Raises ModelError, DeviceError, or UsageError, also if the tiles of `settings` are too small
    for the network, or if they need a defocus map and it gives none.
    """

    def __init__(
        self,
        engine: Engine | str = "auto",
        settings: RestoreSettings | None = None,
        *,
        model: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        output_bits: int = 8,
        threads: int | None = None,
        exact: Callable[[], Engine] | None = None,
    ) -> None:
        settings = settings or RestoreSettings()
        self._for_more_bits: Callable[[], Restorer] | None = None
        if isinstance(engine, str):
            opened = functools.partial(
                open_engine,
                model_file(model),
                engine=engine,
                device=device,
                output_bits=output_bits,
                threads=threads,
            )
            engine = opened(precision=precision)
            if engine.precision != "fp32":
                exact = in_fp32 = functools.partial(opened, precision="fp32")
                if precision == "auto":  # for 8 bits; who demands it wants it for any depth
                    self._for_more_bits = functools.cache(lambda: Restorer(in_fp32(), settings))
        self.settings = settings
        view: Callable[[Engine], Engine] = MirroredEngine if self.settings.mirrored else _as_it_is
        self.engine = view(engine)
        _check_wishes(engine, self.settings)
        self._cut = _cut(engine, self.settings)
        self._exact = None if exact is None else functools.cache(lambda: view(exact()))
        self._pieces = 1  # into which tiles are cut since memory ran out

    @property
    def spec(self) -> NetworkSpec:
        """What the network needs and gives."""
        return self.engine.spec

    @property
    def gives_map(self) -> bool:
        """Whether the network tells how far out of focus each pixel is."""
        return "radius_px" in self.spec.outputs

    def __call__(
        self,
        image: npt.NDArray[np.float32],
        *,
        views: Views | None = None,
        report: Report | None = None,
    ) -> Restoration:
        """Restore one picture.

        image: (H, W, 3) float32 in [0, 1], display-encoded RGB, at least one pixel. Not changed.
        views: as for `restore_pixels`. report: told the share of the work after every tile.
        Raises ValueError for any other array, and what `restore_pixels` raises.
        """
        _check(image)
        return self.restore_pixels(image, views=views, report=report)

    @overload
    def restore(
        self,
        picture: Picture,
        *,
        views: tuple[Any, Any] | None = None,
        mask: npt.NDArray[Any] | Image | None = None,
    ) -> Picture: ...
    @overload
    def restore(
        self,
        picture: str | Path,
        *,
        views: tuple[Any, Any] | None = None,
        mask: npt.NDArray[Any] | Image | None = None,
    ) -> Photo: ...
    def restore(
        self,
        picture: Any,
        *,
        views: tuple[Any, Any] | None = None,
        mask: npt.NDArray[Any] | Image | None = None,
    ) -> Any:
        """Restore an array, a Pillow image, a photo or a file; see `defocusfix.restore`."""
        painted = None if mask is None else as_mask(mask)
        of_views = None if views is None else (colours_of(views[0]), colours_of(views[1]))
        return changed_picture(
            opened(picture),
            lambda pixels: self.restore_pixels(pixels, views=of_views, mask=painted).pixels,
        )

    def restore_pixels(
        self,
        pixels: Pixels,
        *,
        views: Views | None = None,
        mask: npt.NDArray[np.float32] | None = None,
        area: Area | None = None,
        report: Report | None = None,
        in_place: bool = False,
    ) -> Restoration:
        """Restore a picture as it is stored; what comes back has the same kind of values.

        pixels: (H, W, 3) display-encoded RGB or (H, W, 1) gray, at least one pixel; uint8, uint16,
        or float32 where 1 is white and more is legal. Values that nothing changes stay exact.
        views: left and right, for a network that takes those of a dual-pixel sensor, and only then.
        mask: (h, w) float32, 0 keeps the photo and 1 restores it; stretched over the photo where
        its size differs, and feathered inwards.
        area: only this rectangle is computed and given back.
        report: told the share of the work after every tile.
        in_place: whether to write the result over `pixels`, which saves its memory; after an error
        `pixels` is then partly changed.

        Raises ValueError for any other array, for views of another size, and for an area that is
        not inside the photo; UsageError for views that the network does not take, or lacks;
        DeviceError if memory runs out; ModelError if the network gives nonsense.
        """
        start = time.perf_counter()
        check_pixels(pixels)
        if pixels.dtype != np.uint8 and self._for_more_bits is not None:
            return self._for_more_bits().restore_pixels(
                pixels, views=views, mask=mask, area=area, report=report, in_place=in_place
            )
        of_views = self._views(views, pixels)
        height, width, _ = pixels.shape
        rows, columns = _spans(area, height, width)
        painted = None if mask is None else Mask(mask, height, width)
        target = pixels[rows.indices, columns.indices]
        finisher = Finisher(
            pixels,
            target if in_place else target.copy(),
            rows,
            columns,
            settings=self.settings,
            mask=painted,
            has_radius=self.gives_map,
        )
        calls = Calls(self.engine, self._exact, self._pieces)
        work = run_levels(
            calls,
            pixels,
            self._cut,
            self.settings,
            rows=rows,
            columns=columns,
            views=of_views,
            mask=painted,
            take=finisher.take,
            release=finisher.release,
            report=report or _say_nothing,
        )
        self._pieces = calls.pieces
        radius_px = finisher.radius_px
        return Restoration(
            pixels=finisher.target,
            defocus_map=None if radius_px is None else DefocusMap(radius_px),
            model=self.spec.name,
            engine=self.engine.name,
            device=self.engine.device,
            precision=self.engine.precision,
            scales=work.shares,
            n_tiles=work.n_tiles,
            seconds=time.perf_counter() - start,
            notes=calls.notes,
        )

    def defocus_map(
        self,
        pixels: Pixels,
        *,
        views: Views | None = None,
        scale: Literal[1, 2, 4] = 2,
        report: Report | None = None,
    ) -> DefocusMap:
        """Only the map of a photo, for a fraction of what restoring it costs.

        pixels, views: as for `restore_pixels`; not changed. scale: finest size computed, 2 for
        half.
        Raises UsageError if the network gives no map, and what `restore_pixels` raises.
        """
        if not self.gives_map:
            raise UsageError(
                f"the model {self.spec.name} gives no defocus map", fix="leave --model out"
            )
        check_pixels(pixels)
        of_views = self._views(views, pixels)
        height, width, _ = pixels.shape
        radius_px = np.zeros((height, width), np.float16)

        def take(rows: Span, columns: Span, values: npt.NDArray[np.float32]) -> None:
            radius_px[rows.indices, columns.indices] = values[N_COLOURS]

        calls = Calls(self.engine, self._exact, self._pieces)
        run_levels(
            calls,
            pixels,
            self._cut,
            RestoreSettings(scale=scale),
            rows=Span(0, height),
            columns=Span(0, width),
            views=of_views,
            take=take,
            report=report or _say_nothing,
        )
        self._pieces = calls.pieces
        return DefocusMap(radius_px)

    def _views(self, views: Views | None, pixels: Pixels) -> dict[str, Pixels]:
        """The views by their names, once they are found to be what the network takes."""
        if (views is None) == bool(self.spec.views):
            raise _wrong_views(self.spec)
        if views is None:
            return {}
        for view in views:
            check_pixels(view)
            if view.shape[:2] != pixels.shape[:2]:
                raise ValueError(
                    f"views must have the size of the photo, {pixels.shape[:2]}, "
                    f"got {view.shape[:2]}"
                )
        return dict(zip(VIEWS, views, strict=True))


def open_restorer(
    model: str | Path | None = None,
    *,
    settings: RestoreSettings | None = None,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    output_bits: int = 8,
    threads: int | None = None,
) -> Restorer:
    """A `Restorer` for a set of weights; everything else as there."""
    return Restorer(
        engine,
        settings,
        model=model,
        device=device,
        precision=precision,
        output_bits=output_bits,
        threads=threads,
    )


def model_file(model: str | Path | None = None) -> Path:
    """The file of weights that `model` names; see `Restorer`. Nothing is fetched.

    Raises ModelError if it names none, or some that are not here; then it says how to get them.
    """
    if model is not None and is_path(model):
        path = Path(model)
        return in_folder(path) if path.is_dir() else path
    name = DEFAULT_MODEL if model is None else str(model)
    bundled = bundled_models_folder() / name / MODEL_FILE
    return bundled if bundled.is_file() else find_weights(name, Store(find_places()))


def _as_it_is(engine: Engine) -> Engine:
    return engine


def _check_wishes(engine: Engine, settings: RestoreSettings) -> None:
    needs_map = settings.protect_sharp > 0 or settings.keep_bokeh_px is not None
    if needs_map and "radius_px" not in engine.spec.outputs:
        raise UsageError(
            f"the model {engine.spec.name} does not tell what is sharp and what is blurred",
            why="--protect-sharp and --keep-bokeh need a model that gives a defocus map",
            fix="leave --model out, or these options; --mask works with every model",
        )


def _wrong_views(spec: NetworkSpec) -> UsageError:
    if spec.views:
        return UsageError(
            f"the model {spec.name} needs the two views of a dual-pixel photo",
            why="it tells blur by how they differ, and the photo alone does not show that",
            fix="give both: --left FILE --right FILE; or another --model",
        )
    return UsageError(
        f"the model {spec.name} takes no views of a dual-pixel sensor",
        why="it restores from the photo alone",
        fix="leave --left and --right out, or name a model for dual-pixel photos with --model",
    )


def _cut(engine: Engine, settings: RestoreSettings) -> Cut:
    spec = engine.spec
    pixels = None
    if settings.tile is not None:
        window = settings.tile or WHOLE
    elif spec.tile:
        window = spec.tile
    else:
        usual = PIXELS_IN_FEW_BITS.get(engine.precision, USUAL_PIXELS)
        pixels = max(usual, (TILE_PER_HALO * spec.halo) ** 2)
        window = LONGEST * math.isqrt(pixels)
    halo, overlap = spec.halo, spec.overlap if settings.overlap is None else settings.overlap
    if spec.tile == window:  # as small, perhaps, as others have made their graph
        halo = min(halo, window // TILE_PER_HALO)
        overlap = min(overlap, window // TILE_PER_OVERLAP // 2 * 2)
    try:
        return Cut(
            window=window, pixels=pixels, overlap=overlap, halo=halo, multiple=spec.size_multiple
        )
    except ValueError as error:
        if settings.tile is None:
            raise ModelError(
                f"tiles of {window} px, which the model {spec.name} takes, are too small",
                why=str(error),
            ) from error
        raise UsageError(
            f"--tile {settings.tile} is too small for the model {spec.name}", why=str(error)
        ) from error


def _spans(area: Area | None, height: int, width: int) -> tuple[Span, Span]:
    if area is None:
        return Span(0, height), Span(0, width)
    x, y, across, down = area
    if across < 1 or down < 1 or min(x, y) < 0 or x + across > width or y + down > height:
        raise ValueError(f"the area {area} is not inside the photo of {width} x {height} px")
    return Span(y, y + down), Span(x, x + across)


def _check(image: npt.NDArray[np.float32]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"image must be (H, W, 3) with at least one pixel, got {image.shape}")
    if image.dtype != np.float32:
        raise ValueError(f"image must be float32, got {image.dtype}")
    if not (image.min() >= 0 and image.max() <= 1):
        raise ValueError("image must lie in [0, 1]")


def _say_nothing(share: float) -> None:
    """Progress nobody asked for."""
