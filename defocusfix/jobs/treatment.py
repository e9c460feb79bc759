"""What is done to every photo of a plan, beside restoring it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from defocusfix.errors import UsageError
from defocusfix.photo.limits import DEFAULT, Limits

Target = Literal["jpeg", "png", "png16", "tiff", "tiff16", "tiff32f", "webp", "avif"]
Metadata = Literal["keep", "minimal", "none"]
MapFormat = Literal["png16", "npy", "tiff", "color"]
Comparison = Literal["side", "html"]
Area = tuple[int, int, int, int]
"""x and y of the upper left corner in the upright photo, width, height; in pixels."""

MAP_SUFFIXES: dict[MapFormat, tuple[str, ...]] = {
    "png16": (".png",),
    "npy": (".npy",),
    "tiff": (".tif", ".tiff"),
    "color": (".png",),
}
COMPARISON_SUFFIXES: dict[Comparison, str] = {"side": ".png", "html": ".html"}
LOSSLESS_TARGETS = frozenset({"png", "png16", "tiff", "tiff16", "tiff32f"})


def map_format_of(path: str, map_format: MapFormat | None) -> MapFormat:
    """The format of a map that goes to `path`, which is empty where the user named none.

    map_format: as demanded; None for the one that the path ends in. Raises UsageError if the path
    ends in none, or in another one.
    """
    if map_format is None and path:
        map_format = next((f for f, s in MAP_SUFFIXES.items() if _ends_in(path, s)), None)
        if map_format is None:
            known = ", ".join(sorted({s for suffixes in MAP_SUFFIXES.values() for s in suffixes}))
            raise UsageError(f"a map cannot be saved as {path}", fix=f"a name that ends in {known}")
    map_format = map_format or "png16"
    if path and not _ends_in(path, MAP_SUFFIXES[map_format]):
        raise UsageError(
            f"a map in the format {map_format} cannot be saved as {path}",
            fix=f"a name that ends in {MAP_SUFFIXES[map_format][0]}",
        )
    return map_format


def _ends_in(path: str, suffixes: tuple[str, ...]) -> bool:
    return path.lower().endswith(suffixes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """Made once at the edge and handed on. Raises UsageError where the wishes contradict."""

    program: str
    """Name and version, written into restored photos before the name of the model."""
    target: Target | None = None
    """Format and depth of the output; None for those of the photo."""
    quality: int | None = None
    """Of lossy formats, 1 to 100; None for at least that of the photo."""
    metadata: Metadata = "keep"
    """How much the output says about the photo."""
    keeps_gps: bool = True
    """Whether it says where the photo was taken."""
    mask: Path | None = None
    """A picture that is white where the photo is restored; None restores it everywhere."""
    views: tuple[Path, Path] | None = None
    """Left and right view of a dual-pixel sensor, of the only photo of the plan; None for none."""
    area: Area | None = None
    """The part of the photo that is wanted; None for all of it."""
    map_format: MapFormat = "png16"
    """Of a defocus map, where one is wanted."""
    comparison: Comparison | None = None
    """Kind of before and after, where one is wanted."""
    limits: Limits = field(default=DEFAULT)
    """How large photos may be."""

    def __post_init__(self) -> None:
        if self.quality is not None:
            if not 1 <= self.quality <= 100:
                raise UsageError(f"the quality must lie between 1 and 100, not at {self.quality}")
            if self.target in LOSSLESS_TARGETS:
                raise UsageError(f"{self.target} loses nothing, so --quality means nothing there")
