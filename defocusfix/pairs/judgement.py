"""What measured pairs lack: in sentences, pair by pair and for the set."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from defocusfix.pairs.blur import LARGEST_SCALE
from defocusfix.pairs.report import PairReport

LEAST_PAIRS: Final = 5  # fewer cannot be told from chance
FEW_PAIRS: Final = 20  # from here on gains become reliable
LEAST_COMMON_SHARE, GOOD_COMMON_SHARE = 0.35, 0.75
MOST_MOVED, LITTLE_MOVED = 0.5, 0.15
MOST_REVERSED: Final = 0.25  # of a pair of which the sharp photo is the sharper one on the whole
LARGE_STOPS: Final = 1.0
LARGE_COLOUR: Final = 1.25  # ratio of the gains of two channels
LARGE_TONE_DIFFERENCE: Final = 0.08  # lenses wide open reach 0.07, darker in the corners
LARGE_ROTATION_DEG: Final = 3.0
LARGE_ZOOM: Final = 1.08
LARGE_PARALLAX_PX: Final = 3.0  # at the scale of training
FEW_TILES: Final = 12


def rejecting_flaws(pair: PairReport) -> Iterator[str]:
    """Why a pair of readable photos of one size must not be learnt from."""
    if pair.blur is None:
        yield "the photos do not fit over each other: other scenes, or too far apart"
        return
    if pair.sharper == "blurry":
        yield "the blurry photo is the sharper one"
    if pair.sharper == "unknown":
        yield "neither photo has enough detail to learn from"
    if pair.sharper == "equal":
        yield "both photos are equally sharp"
    if pair.common_share is not None and pair.common_share < LEAST_COMMON_SHARE:
        yield f"only {pair.common_share:.0%} of the blurry photo is in the sharp one"
    if pair.blur.share_moved > MOST_MOVED:
        yield f"{pair.blur.share_moved:.0%} of the scene changed between the photos"


def limiting_flaws(pair: PairReport) -> Iterator[str]:
    """What makes a pair less useful, though it may be learnt from."""
    blur = pair.blur
    if blur is None:
        return
    if LEAST_COMMON_SHARE <= (pair.common_share or 0) < GOOD_COMMON_SHARE:
        yield f"only {pair.common_share:.0%} of the blurry photo is in the sharp one"
    if LITTLE_MOVED < blur.share_moved <= MOST_MOVED:
        yield f"{blur.share_moved:.0%} of the scene changed: something moved, or a reflection did"
    if pair.sharper == "sharp" and blur.share_reversed > MOST_REVERSED:
        yield f"the blurry photo is the sharper one in {blur.share_reversed:.0%} of the scene"
    if abs(pair.exposure_stops or 0) > LARGE_STOPS:
        yield f"the exposures differ by {abs(pair.exposure_stops or 0):.1f} stops"
    if pair.gains and max(pair.gains) > LARGE_COLOUR * max(min(pair.gains), 1e-6):
        yield "the colours differ: set the same white balance for both photos"
    if (pair.tone_difference or 0) > LARGE_TONE_DIFFERENCE:
        yield "brightness differs from place to place: the light changed, or the camera's rendering"
    if abs(pair.rotation_deg or 0) > LARGE_ROTATION_DEG:
        yield f"turned by {abs(pair.rotation_deg or 0):.1f} degrees"
    if abs(math.log(pair.zoom or 1)) > math.log(LARGE_ZOOM):
        yield f"one photo shows the scene {abs((pair.zoom or 1) - 1):.0%} larger or smaller"
    if blur.parallax_px > LARGE_PARALLAX_PX * (pair.scale or 1):
        yield f"parts of the scene lie {blur.parallax_px:.0f} px apart: the camera moved"
    if pair.scale == LARGEST_SCALE:
        yield "so blurred that hardly anything can be learnt"
    if 0 < blur.tiles < FEW_TILES:
        yield "little detail to learn from"


def problems(pairs: Sequence[PairReport]) -> Iterator[str]:
    """For which the set as a whole cannot be trained on."""
    usable = [pair for pair in pairs if pair.verdict != "reject"]
    reversed_pairs = sum(pair.sharper == "blurry" for pair in pairs)
    compared = sum(pair.sharper in ("blurry", "sharp") for pair in pairs)
    if reversed_pairs > compared / 2:
        yield (
            f"the folders seem to be swapped: in {reversed_pairs} of {compared} pairs the blurry "
            "photo is the sharper one"
        )
    elif len(usable) < LEAST_PAIRS:
        yield f"{counted(len(usable), 'usable pair')}, and at least {LEAST_PAIRS} are needed"
    elif len({pair.scene for pair in usable}) < 2:
        yield "all usable pairs show one scene, so none can be held out to measure the gain"


def remarks(pairs: Sequence[PairReport], unmatched: Sequence[Path]) -> Iterator[str]:
    """On the set as a whole, worth knowing."""
    usable = [pair for pair in pairs if pair.verdict != "reject"]
    if LEAST_PAIRS <= len(usable) < FEW_PAIRS:
        yield f"{len(usable)} usable pairs are few: with {FEW_PAIRS} or more, gains are reliable"
    scenes = {pair.scene for pair in usable}
    if len(scenes) < len(usable):
        yield f"{len(usable)} usable pairs show {counted(len(scenes), 'scene')}"
    if unmatched:
        names = ", ".join(path.name for path in unmatched[:3])
        more = f" and {len(unmatched) - 3} more" if len(unmatched) > 3 else ""
        yield f"{counted(len(unmatched), 'photo')} without a counterpart: {names}{more}"
    scales = sorted({pair.scale for pair in usable if pair.scale})
    if scales and scales[-1] > 1:
        smallest, largest = f"1/{scales[-1]}", "full" if scales[0] == 1 else f"1/{scales[0]}"
        sizes = smallest if scales[0] == scales[-1] else f"{smallest} to {largest}"
        yield f"best trained at {sizes} size, where the blur fits the network"


def counted(number: int, noun: str) -> str:
    """A number with its noun: no pairs, 1 pair, 2 pairs."""
    return f"{number or 'no'} {noun}" + ("" if number == 1 else "s")
