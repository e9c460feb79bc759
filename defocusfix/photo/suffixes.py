"""Which format a photo is in, as far as its name tells."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
    "avif": (".avif",),
    "bmp": (".bmp", ".dib"),
    "jpeg2000": (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
    "heic": (".heic", ".heif", ".hif"),
    "raw": (
        *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".raf"),
        *(".orf", ".rw2", ".pef", ".srw", ".erf", ".3fr", ".fff", ".iiq", ".mrw", ".x3f"),
    ),
}


def format_of(path: Path) -> str | None:
    """The format that belongs to the suffix of a name, a key of `SUFFIXES`; None for no known."""
    suffix = path.suffix.lower()
    return next((name for name, suffixes in SUFFIXES.items() if suffix in suffixes), None)
