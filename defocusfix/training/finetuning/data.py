"""The user's pairs: checked, divided into learnt and held-out scenes, and summed up."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from defocusfix.errors import TrainingError
from defocusfix.pairs.find import PairFiles
from defocusfix.pairs.report import DataReport, PairReport
from defocusfix.pairs.split import split_by_scene

CROP_MULTIPLE = 64  # sides that a network of three levels and a size multiple of 16 takes
SHARE_THAT_FITS = 0.9  # of the pairs that a crop must fit into; smaller photos are left out
FEW_TO_LEARN_FROM = 20
ENOUGH_JUDGES = 8  # held-out scenes
FEW_SCENES = 12  # with fewer, each is held out in turn
FOLDS = 5
LARGEST_SHARE = 0.4  # of the scenes that judge, unless asked for
HARDLY_BLURRED_PX = 1.0


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What is known of the pairs before the first step; kept with the run."""

    found: int
    """Pairs in the two folders."""
    rejected: int
    """Of these, pairs that cannot be trained on."""
    shift_px: float
    """Median distance between the two photos of a usable pair."""
    radius_px: float
    """Median blur radius of the usable pairs."""
    scales: dict[str, int]
    """Usable pairs by the factor that they are reduced by for training."""
    scenes: dict[str, str]
    """Scene by usable pair."""
    crop_px: int
    """Side of the crops that fit into the usable pairs."""
    held_out: tuple[str, ...]
    """Usable pairs that nothing is learnt from; none where there are folds."""
    folds: tuple[tuple[str, ...], ...]
    """Usable pairs, by the part that judges while the others are learnt from; none where one part
    is held out."""
    left_out: tuple[str, ...]
    """Pairs that are used for nothing."""
    remarks: tuple[str, ...]
    """On the whole set, in words."""
    fingerprint: str
    """Of the files: another one where a photo came, went or changed."""

    @property
    def learnt(self) -> tuple[str, ...]:
        """Usable pairs that are learnt from."""
        return tuple(name for name in self.scenes if name not in self.held_out)

    def hints(self) -> tuple[str, ...]:
        """Why these pairs may not teach much, in words."""
        found = []
        if self.radius_px < HARDLY_BLURRED_PX:
            found.append(
                f"the blurred photos are hardly blurred (radius {self.radius_px:.1f} px in median)"
            )
        if len(self.learnt) < FEW_TO_LEARN_FROM:
            found.append(f"there are only {len(self.learnt)} pairs to learn from")
        return tuple(found)


def divided(
    report: DataReport,
    pairs: Sequence[PairFiles],
    held_out_share: float | None,
    folds: int | None = 0,
    *,
    crop_px: int,
    seed: int,
) -> DataFacts:
    """The facts of checked pairs, some scenes of them held out, or all of them in turn.

    pairs: all that were found. held_out_share: of the scenes; None for one that suits their number.
    folds: parts that are held out in turn, at most one per scene; 0 for none, None for as many as
    suit the number of scenes, where no share is given.
    crop_px: wanted side of a crop; it is smaller where many photos are smaller than that, and the
    few that are smaller still are left out.
    Raises TrainingError where nothing can be learnt or nothing can be held out.
    """
    if report.problems:
        raise TrainingError(
            "these pairs cannot be trained on",
            why="\n".join([*report.problems, *_most_common_reasons(report.pairs)]),
            fix="what is wrong with each pair: defocusfix data check BLURRY SHARP",
        )
    checked = {pair.name: pair for pair in report.pairs}
    sides = {files.name: _side(checked[files.name]) for files in report.usable}
    crop_px = _crop_px(list(sides.values()), crop_px)
    usable = [files for files in report.usable if sides[files.name] >= crop_px]
    if not usable:
        raise TrainingError(
            f"the photos are smaller than the smallest crop, {crop_px} px",
            fix="export them larger, or less reduced",
        )
    names = [files.name for files in usable]
    used = [checked[name] for name in names]
    scenes = [pair.scene or pair.name for pair in used]
    count = len(set(scenes))
    if folds is None:
        folds = FOLDS if count < FEW_SCENES and held_out_share is None else 0
    share = scenes_to_hold_out(count) / max(count, 2) if held_out_share is None else held_out_share
    _, held_out = split_by_scene(usable, share, seed, scenes=scenes)
    return DataFacts(
        found=len(pairs),
        rejected=len(pairs) - len(usable),
        shift_px=float(np.median([pair.shift_px or 0.0 for pair in used])),
        radius_px=float(np.median([pair.blur.median_px if pair.blur else 0.0 for pair in used])),
        scales={str(s): n for s, n in sorted(Counter(pair.scale or 1 for pair in used).items())},
        scenes=dict(zip(names, scenes, strict=True)),
        crop_px=crop_px,
        held_out=() if folds else tuple(files.name for files in held_out),
        folds=_in_turn(dict(zip(names, scenes, strict=True)), folds, seed) if folds else (),
        left_out=tuple(files.name for files in pairs if files.name not in names),
        remarks=report.remarks,
        fingerprint=fingerprint(pairs),
    )


def _in_turn(scenes: Mapping[str, str], folds: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """Names by fold, of pairs whose scenes are given: scenes are drawn by lot and stay whole."""
    known = sorted(set(scenes.values()))
    order = [known[n] for n in np.random.default_rng(seed).permutation(len(known))]
    folds = min(folds, len(order))
    fold = {scene: number % folds for number, scene in enumerate(order)}
    return tuple(
        tuple(name for name, scene in scenes.items() if fold[scene] == number)
        for number in range(folds)
    )


def scenes_to_hold_out(count: int) -> int:
    """How many of `count` scenes judge: a fifth, of few scenes up to two fifths, at least one.

    A verdict rests on how many scenes agree; more photos or windows of one scene repeat what it has
    said. Were the true gains of scenes spread by half of their mean, as measured on one lens, the
    verdict on 15 scenes would find the gain in 78 of 100 runs if a third judged, and in 95 if two
    fifths do; were they spread by the whole mean, in 32 and 53. Beyond eight judges little is won,
    and at half of the scenes learning loses what the verdict wins: what a lens does to light is
    much the same in all scenes, so the one scene fewer to learn from costs less than it tells.
    """
    return max(1, round(count / 5), min(ENOUGH_JUDGES, round(LARGEST_SHARE * count)))


def fingerprint(pairs: Sequence[PairFiles]) -> str:
    """Of names, sizes and times of all photos; a missing file counts as well."""
    facts = [(files.name, _state(files.blurred), _state(files.all_in_focus)) for files in pairs]
    return hashlib.sha256(repr(sorted(facts)).encode()).hexdigest()[:16]


def _state(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return path.name, -1, -1
    return path.name, status.st_size, status.st_mtime_ns


def _side(pair: PairReport) -> int:
    """Shorter side of a pair at the scale of training."""
    return min(pair.blurred_size or (0, 0)) // (pair.scale or 1)


def _crop_px(sides: Sequence[int], wanted: int) -> int:
    """The largest multiple, up to `wanted`, that fits into most photos; at least one multiple."""
    fitting = float(np.quantile(sides, 1 - SHARE_THAT_FITS, method="higher")) if sides else 0
    return max(CROP_MULTIPLE, int(min(wanted, fitting)) // CROP_MULTIPLE * CROP_MULTIPLE)


def _most_common_reasons(pairs: Sequence[PairReport]) -> list[str]:
    """The reasons against the pairs, each with how often it was given."""
    counted = Counter(reason for checked in pairs for reason in checked.reasons)
    return [f"{reason} ({count})" for reason, count in counted.most_common(4)]
