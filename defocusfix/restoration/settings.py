"""How a photo is restored."""

from __future__ import annotations

from dataclasses import dataclass

from defocusfix.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreSettings:
    """Made once at the edge and handed on. Raises UsageError for values out of range."""

    strength: float = 1.0
    """0 leaves the photo as it is, 1 restores fully."""
    tile: int | None = None
    """Largest side of what is computed at once, in pixels; 0 for the whole photo at once, None for
    a size that suits the network."""
    overlap: int = 16
    """Pixels in which neighbouring tiles are cross-faded; even."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise UsageError(f"the strength must lie between 0 and 1, not at {self.strength:g}")
        if self.tile is not None and self.tile < 0:
            raise UsageError(f"the tile size must not be negative, got {self.tile}")
        if self.overlap < 0 or self.overlap % 2:
            raise UsageError(f"the overlap must be even and not negative, got {self.overlap}")
