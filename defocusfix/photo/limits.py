"""What is refused before anything is decoded, so that a hostile file cannot eat the memory."""

from __future__ import annotations

from defocusfix.errors import InputError

MAX_MEGAPIXELS = 300  # twice the largest cameras; one float copy takes 3.6 GB
MAX_FILE_BYTES = 4 * 1024**3  # the largest classic TIFF
MAX_PROFILE_BYTES = 64 * 1024**2  # colour profiles are a few kilobytes, large printer ones 4 MB


def check_size(name: str, height: int, width: int) -> None:
    """Raise InputError if a picture of this size has no pixels or too many of them."""
    if height < 1 or width < 1:
        raise InputError(f"{name} has no pixels", why=f"its header says {width} x {height}")
    megapixels = height * width / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise InputError(
            f"{name} is too large",
            why=f"{width} x {height} is {megapixels:.0f} megapixels, the limit is {MAX_MEGAPIXELS}",
            fix="cut it into parts first",
        )


def check_file_size(name: str, n_bytes: int) -> None:
    """Raise InputError if a file of this many bytes is empty or too large to be read."""
    if n_bytes == 0:
        raise InputError(f"{name} is empty", why="the file has 0 bytes")
    if n_bytes > MAX_FILE_BYTES:
        raise InputError(
            f"{name} is too large",
            why=f"{n_bytes / 1024**3:.1f} GB, the limit is {MAX_FILE_BYTES / 1024**3:.0f} GB",
        )
