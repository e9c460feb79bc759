"""What is refused before anything is decoded, so that a hostile file cannot eat the memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from defocusfix.errors import InputError

MAX_PROFILE_BYTES = 16 * 1024**2  # colour profiles are a few kilobytes, large printer ones 4 MB


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a photo may be. Raised on purpose, since a small file can claim a huge picture."""

    megapixels: float = 300  # twice the largest cameras; one float copy takes 3.6 GB
    """Millions of pixels."""
    bytes: int = 4 * 1024**3  # the largest classic TIFF
    """Of the file."""

    def check_size(self, name: str, height: int, width: int) -> None:
        """Raise InputError if a picture of this size has no pixels or too many of them."""
        if height < 1 or width < 1:
            raise InputError(f"{name} has no pixels", why=f"its header says {width} x {height}")
        megapixels = height * width / 1e6
        if megapixels > self.megapixels:
            raise InputError(
                f"{name} is too large",
                why=f"{width} x {height} is {_more_than(self.megapixels, megapixels)} megapixels, "
                f"the limit is {self.megapixels:g}",
                fix=f"--max-megapixels {math.ceil(megapixels)} raises the limit, "
                "if you trust the file",
            )

    def check_file_size(self, name: str, n_bytes: int) -> None:
        """Raise InputError if a file of this many bytes is empty or too large to be read."""
        if n_bytes == 0:
            raise InputError(f"{name} is empty", why="the file has 0 bytes")
        if n_bytes > self.bytes:
            raise InputError(
                f"{name} is too large",
                why=f"{n_bytes / 1024**3:.1f} GB, the limit is {self.bytes / 1024**3:.1f} GB",
                fix="--max-file-size raises the limit",
            )


def _more_than(limit: float, megapixels: float) -> str:
    """Megapixels with so many decimals, at least one, that they read as more than the limit."""
    texts = (f"{megapixels:.{decimals}f}" for decimals in range(1, 6))
    return next((text for text in texts if float(text) > limit), f"{megapixels:.6f}")


DEFAULT = Limits()
