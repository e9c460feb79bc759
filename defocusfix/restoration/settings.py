"""How a photo is restored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from defocusfix.errors import UsageError

Scale = Literal["auto", 1, 2, 4]
SCALES: tuple[Scale, ...] = ("auto", 1, 2, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreSettings:
    """Made once at the edge and handed on. Raises UsageError for values out of range."""

    strength: float = 1.0
    """0 leaves the photo as it is, 1 restores fully."""
    protect_sharp: float = 0.0
    """0 leaves it to the network what is in focus. Above, pixels whose blur radius is under this
    many pixels keep their exact values; 1 is the most."""
    keep_bokeh_px: float | None = None
    """Blur whose radius is at least this many pixels is meant and stays; None restores all."""
    scale: Scale = "auto"
    """Finest size computed: the full one (1), half (2) or a quarter (4); `auto` computes each part
    of a photo as finely as its blur needs, and leaves parts in focus alone."""
    mirrored: bool = False
    """Whether every tile is restored four times, mirrored along each axis and both, and the mean
    taken: closer to the truth, for four times the time."""
    tile: int | None = None
    """Largest side of what is computed at once, in pixels; 0 for the whole photo at once, None for
    a size that suits the network."""
    overlap: int | None = None
    """Pixels in which neighbouring tiles are cross-faded, even; None for what suits the network."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise UsageError(f"the strength must lie between 0 and 1, not at {self.strength:g}")
        if not 0 <= self.protect_sharp <= 1:
            raise UsageError(
                f"the protection of what is sharp must lie between 0 and 1, "
                f"not at {self.protect_sharp:g}"
            )
        if self.keep_bokeh_px is not None and not self.keep_bokeh_px > 0:
            raise UsageError(
                f"the radius of blur to keep must be above 0 pixels, not {self.keep_bokeh_px:g}"
            )
        if self.scale not in SCALES:
            raise UsageError(
                f"there is no scale {self.scale!r}", fix=f"one of: {', '.join(map(str, SCALES))}"
            )
        if self.tile is not None and self.tile < 0:
            raise UsageError(f"the tile size must not be negative, got {self.tile}")
        if self.overlap is not None and (self.overlap < 0 or self.overlap % 2):
            raise UsageError(f"the overlap must be even and not negative, got {self.overlap}")
