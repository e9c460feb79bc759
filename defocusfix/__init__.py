"""Brings out-of-focus photos back into focus.

    import defocusfix

    sharp = defocusfix.restore(image)     # an array, a Pillow image, or the path of a photo

    restorer = defocusfix.Restorer(engine="onnxruntime")     # kept for many pictures
    sharp = restorer.restore(image)
    restoration = restorer.restore_pixels(pixels)     # .pixels, and what was done to get them
    restoration.defocus_map.radius_px     # how far out of focus every pixel was

Everything a user can do wrong raises a class of `defocusfix.errors`, an array of the wrong kind
ValueError.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from defocusfix.version import __version__

if TYPE_CHECKING:
    from defocusfix import errors
    from defocusfix.restoration import (
        DefocusMap,
        Restoration,
        Restorer,
        RestoreSettings,
        open_restorer,
        restore,
    )

__all__ = [
    "DefocusMap",
    "Restoration",
    "RestoreSettings",
    "Restorer",
    "__version__",
    "errors",
    "open_restorer",
    "restore",
]


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
