"""Brings out-of-focus photos back into focus.

    import defocusfix

    sharp = defocusfix.restore(image)          # (H, W, 3) float32 in [0, 1], same shape back
    restorer = defocusfix.open_restorer()      # the same in two steps, to restore many photos
    restoration = restorer(image)              # .image, and .radius_px, the blur of every pixel

Everything a user can do wrong raises a class of `defocusfix.errors`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from defocusfix.version import __version__

if TYPE_CHECKING:
    from defocusfix import errors
    from defocusfix.restoration import Restoration, Restorer, open_restorer, restore

__all__ = ["Restoration", "Restorer", "__version__", "errors", "open_restorer", "restore"]


def __getattr__(name: str) -> object:
    """Load a room when one of its names is first used, so that the import itself costs nothing."""
    if name == "errors":
        return import_module("defocusfix.errors")
    if name in __all__:
        value: object = getattr(import_module("defocusfix.restoration"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'defocusfix' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
