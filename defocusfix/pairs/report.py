"""What a check of pairs found, as data: for tables, pages, files and the trainer."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from defocusfix.pairs.blur import PairBlur
from defocusfix.pairs.find import PairFiles

Verdict = Literal["good", "usable", "reject"]
Sharper = Literal["sharp", "blurry", "equal", "unknown"]

VERDICTS: Final[tuple[Verdict, ...]] = ("reject", "usable", "good")
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Four small JPEG files of a pair."""

    blurred: bytes
    sharp: bytes
    """Laid over the blurred one, if that could be done."""
    blurred_detail: bytes
    """The place with most detail, pixel for pixel as the network will see it."""
    sharp_detail: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """What is known of one pair. Facts that could not be measured are None."""

    files: PairFiles
    verdict: Verdict
    reasons: tuple[str, ...]
    """Why it is not good, the gravest first; empty for a good pair."""
    blurred_size: tuple[int, int] | None = None
    """(width, height)."""
    sharp_size: tuple[int, int] | None = None
    exposure_stops: float | None = None
    """How much more light the blurred photo shows than the sharp one."""
    gains: tuple[float, float, float] | None = None
    """By which the sharp photo's red, green and blue become as bright as the blurred one's."""
    tone_difference: float | None = None
    """Mean difference of brightness over larger areas, 0 to 1, once exposures are matched."""
    shift_px: float | None = None
    """How far the middle of the photo lies apart."""
    rotation_deg: float | None = None
    """By how much the sharp photo is turned against the blurred one, clockwise."""
    zoom: float | None = None
    """How many times larger the sharp photo shows the scene."""
    common_share: float | None = None
    """Of the blurred photo, what the sharp one shows too."""
    sharper: Sharper = "unknown"
    """Which photo really is the sharper one."""
    blur: PairBlur | None = None
    scale: int | None = None
    """The factor by which the pair is best reduced for training."""
    scene: str | None = None
    """Name of the first pair that shows the same scene."""
    duplicate_of: str | None = None
    """Name of an earlier pair with the same two photos."""
    thumbnails: Thumbnails | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.files.name

    def to_json(self) -> dict[str, Any]:
        """All but the thumbnails, in plain values."""
        return {
            "name": self.name,
            "blurry": str(self.files.blurred),
            "sharp": str(self.files.all_in_focus),
            **self.row(),
            "reasons": list(self.reasons),
        }

    def row(self) -> dict[str, Any]:
        """Name by name what a table shows, None where nothing was measured."""
        width, height = self.blurred_size or (None, None)
        sharp_width, sharp_height = self.sharp_size or (None, None)
        red, green, blue = self.gains or (None, None, None)
        blur = self.blur
        return {
            "verdict": self.verdict,
            "width": width,
            "height": height,
            "sharp_width": sharp_width,
            "sharp_height": sharp_height,
            "exposure_stops": self.exposure_stops,
            "gain_red": red,
            "gain_green": green,
            "gain_blue": blue,
            "tone_difference": self.tone_difference,
            "shift_px": self.shift_px,
            "rotation_deg": self.rotation_deg,
            "zoom": self.zoom,
            "common_share": self.common_share,
            "sharper": self.sharper,
            "radius_median_px": blur.median_px if blur else None,
            "radius_high_px": blur.high_px if blur else None,
            "share_blurred": blur.share_blurred if blur else None,
            "share_reversed": blur.share_reversed if blur else None,
            "share_moved": blur.share_moved if blur else None,
            "parallax_px": blur.parallax_px if blur else None,
            "scale": self.scale,
            "scene": self.scene,
            "duplicate_of": self.duplicate_of,
        }


@dataclass(frozen=True, slots=True)
class DataReport:
    """What is known of a set of pairs."""

    pairs: tuple[PairReport, ...]
    """In the order in which they were found."""
    unmatched: tuple[Path, ...]
    """Photos without a counterpart."""
    problems: tuple[str, ...]
    """Of the whole set, for which it cannot be trained on."""
    remarks: tuple[str, ...]
    """Of the whole set, which are good to know."""
    paired_by: str
    """name, time, order or similarity; "list" for pairs that came as such."""

    @property
    def can_train(self) -> bool:
        """Whether enough pairs are good enough."""
        return not self.problems

    @property
    def are_swapped(self) -> bool:
        """Whether most blurry photos are sharper than their sharp ones."""
        sides = [pair.sharper for pair in self.pairs]
        return sides.count("blurry") > sides.count("sharp")

    @property
    def usable(self) -> list[PairFiles]:
        """The files of all pairs that were not rejected."""
        return [pair.files for pair in self.pairs if pair.verdict != "reject"]

    def count(self, verdict: Verdict) -> int:
        """How many pairs have this verdict."""
        return sum(pair.verdict == verdict for pair in self.pairs)

    def worst_first(self) -> list[PairReport]:
        """The pairs, rejected ones first, those with more reasons before those with fewer."""
        return sorted(self.pairs, key=lambda p: (VERDICTS.index(p.verdict), -len(p.reasons)))

    def to_json(self) -> dict[str, Any]:
        """The whole report in plain values."""
        return {
            "paired_by": self.paired_by,
            "can_train": self.can_train,
            "counts": {verdict: self.count(verdict) for verdict in reversed(VERDICTS)},
            "problems": list(self.problems),
            "remarks": list(self.remarks),
            "unmatched": [str(path) for path in self.unmatched],
            "pairs": [pair.to_json() for pair in self.pairs],
        }


def as_csv(pairs: Sequence[PairReport]) -> str:
    """One row per pair, unrounded, reasons joined by semicolons."""
    rows = [{**pair.to_json(), "reasons": "; ".join(pair.reasons)} for pair in pairs]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["name"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
