"""Which pairs show one scene, and which scenes are held out.

A network that has learnt from one shot of a scene knows it: scored on another shot of the same
scene, it looks better than it is. Scenes therefore never stand on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from defocusfix.errors import InputError, TrainingError
from defocusfix.pairs.find import PairFiles, without_role
from defocusfix.pairs.signature import ONE_SCENE, Signature, likeness, roughly_alike, signature_of
from defocusfix.photo.read import read_photo

LEAST_HINT: Final = 0.3  # of rough likeness; below, a closer look is not worth its time
SETTING: Final = re.compile(r"^(f\d+|f|ap\d*|iso\d+|\d+mm|copy|v\d+)$")
"""Words in a name that tell two shots of one scene apart, such as aperture and sensitivity."""
LETTER: Final = re.compile(r"^[a-h]$")
"""Counts shots of a scene where other words name it."""


def split_by_scene(
    pairs: Sequence[PairFiles],
    held_out_share: float = 0.2,
    seed: int = 0,
    scenes: Sequence[str] | None = None,
) -> tuple[list[PairFiles], list[PairFiles]]:
    """The pairs to learn from and those held out, each in the order given.

    held_out_share: of the pairs, as nearly as whole scenes allow; at least one scene is held out
    and at least one learnt from. The same pairs, share and seed give the same answer.
    scenes: of each pair; None finds them as `scenes_of` does.
    Raises TrainingError if there are fewer than two scenes, ValueError for a share outside 0..1.
    """
    if not 0 < held_out_share < 1:
        raise ValueError(f"held_out_share must lie between 0 and 1, not {held_out_share}")
    scenes = scenes_of(pairs) if scenes is None else scenes
    names = sorted(set(scenes))
    if len(names) < 2:
        raise TrainingError(
            "no scene can be held out",
            why="all pairs show the same scene" if names else "there are no pairs",
            fix="add pairs of other scenes; one scene cannot say how the network does on others",
        )
    wanted = held_out_share * len(pairs)
    held_out: set[str] = set()
    count = 0
    for number in np.random.default_rng(seed).permutation(len(names)):
        size = scenes.count(names[number])
        is_nearer = abs(count + size - wanted) < abs(count - wanted)
        if (is_nearer or not held_out) and len(held_out) < len(names) - 1:
            held_out.add(names[number])
            count += size
    sides: tuple[list[PairFiles], list[PairFiles]] = ([], [])
    for pair, scene in zip(pairs, scenes, strict=True):
        sides[scene in held_out].append(pair)
    return sides


def scenes_of(
    pairs: Sequence[PairFiles], signatures: Sequence[Signature | None] | None = None
) -> list[str]:
    """The scene of each pair, called after the first pair that shows it.

    Pairs are of one scene if they share a photo, lie in one folder among several, have names that
    differ only by a setting such as f2_8, or look alike. signatures: of the sharp photos, where
    they are known already; without them the photos are read, and one that cannot be looks like no
    other.
    """
    if signatures is None:
        signatures = [_signature(pair.all_in_focus) for pair in pairs]
    scene = list(range(len(pairs)))  # the first pair of the same scene, as known so far
    for one, other in (*_tied_by_place(pairs), *_tied_by_look(signatures)):
        first, second = sorted((scene[one], scene[other]))
        scene = [first if number == second else number for number in scene]
    return [pairs[number].name for number in scene]


def _tied_by_place(pairs: Sequence[PairFiles]) -> Iterable[tuple[int, int]]:
    """Pairs whose files or names say that they are of one scene."""
    folders = {pair.blurred.parent for pair in pairs}
    first: dict[object, int] = {}
    for number, pair in enumerate(pairs):
        keys: list[object] = [pair.blurred, pair.all_in_focus, (pair.blurred.parent, _key(pair))]
        if len(folders) > 1:
            keys.append(("folder", pair.blurred.parent))
        for key in keys:
            yield first.setdefault(key, number), number


def _key(pair: PairFiles) -> str:
    """A name without its settings: 0001_f2_8 and 0001_f1_8 are both 0001."""
    stem = re.sub(r"(?i)(?<![a-z0-9])f[_/]?(\d+)[._,](\d)(?!\d)", r"f\1", pair.blurred.stem)
    words = [word for word in without_role(stem).split() if not SETTING.match(word)]
    named = [word for word in words if not LETTER.match(word)] or words
    return " ".join(named) or pair.name


def _tied_by_look(signatures: Sequence[Signature | None]) -> Iterable[tuple[int, int]]:
    known = [number for number, signature in enumerate(signatures) if signature is not None]
    seen = [signature for signature in signatures if signature is not None]
    if not seen:
        return
    hints = roughly_alike(seen, seen)
    for i, j in np.argwhere(np.triu(hints >= LEAST_HINT, 1)):
        if likeness(seen[i], seen[j]) >= ONE_SCENE:
            yield known[i], known[j]


def _signature(path: Path) -> Signature | None:
    try:
        return signature_of(read_photo(path).pixels)
    except InputError:
        return None
