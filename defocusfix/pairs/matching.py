"""Which photos of two folders belong together where their names do not say: by time, by look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from defocusfix.errors import InputError
from defocusfix.pairs.signature import (
    ONE_SCENE,
    Signature,
    likeness,
    roughly_alike,
    signature_of,
)
from defocusfix.photo.camera import taken_at
from defocusfix.photo.read import read_photo

LEFT_OVER_SECONDS: Final = 150.0  # what leaving out a photo costs; a pair may take twice that
CANDIDATES: Final = 10  # photos that a rough look lets through to a closer one

Partners = dict[Path, Path]
"""Sharp photos by blurred ones."""


def partners_by_time(inputs: Sequence[Path], targets: Sequence[Path]) -> Partners:
    """Photos that were taken one right after the other, by their camera's clock.

    Both folders are gone through in time, so that of shots taken in turns none is paired across,
    with as few photos left over and as little time between as can be. At most five minutes lie
    between the photos of a pair; photos without a time have no partner.
    """
    blurred, sharp = (_by_time(paths) for paths in (inputs, targets))
    # The least cost of pairing the first i with the first j: what is left over costs as well.
    cost = np.zeros((len(blurred) + 1, len(sharp) + 1))
    cost[:, 0], cost[0, :] = (LEFT_OVER_SECONDS * np.arange(n) for n in cost.shape)
    for i, (before, _) in enumerate(blurred):
        for j, (after, _) in enumerate(sharp):
            paired = cost[i, j] + abs((after - before).total_seconds())
            cost[i + 1, j + 1] = min(
                paired, LEFT_OVER_SECONDS + min(cost[i, j + 1], cost[i + 1, j])
            )
    partners: Partners = {}
    i, j = len(blurred), len(sharp)
    while i and j:
        if cost[i, j] == cost[i - 1, j] + LEFT_OVER_SECONDS:
            i -= 1
        elif cost[i, j] == cost[i, j - 1] + LEFT_OVER_SECONDS:
            j -= 1
        else:
            i, j = i - 1, j - 1
            partners[blurred[i][1]] = sharp[j][1]
    return partners


def partners_by_look(inputs: Sequence[Path], targets: Sequence[Path]) -> Partners:
    """Photos that show the same scene, and no other one more.

    A photo that cannot be read has no partner.
    """
    input_known, input_signatures = _signatures(inputs)
    target_known, target_signatures = _signatures(targets)
    if not input_known or not target_known:
        return {}
    hints = roughly_alike(input_signatures, target_signatures)
    found = np.full(hints.shape, -1.0)
    for i, signature in enumerate(input_signatures):
        for j in np.argsort(-hints[i])[:CANDIDATES]:
            found[i, j] = likeness(signature, target_signatures[j])
    best_inputs, best_targets = found.argmax(axis=0), found.argmax(axis=1)
    return {
        input_known[i]: target_known[j]
        for i, j in enumerate(best_targets)
        if best_inputs[j] == i and found[i, j] >= ONE_SCENE
    }


def _by_time(paths: Sequence[Path]) -> list[tuple[datetime, Path]]:
    """The photos that say when they were taken, the earliest first."""
    times = ((taken_at(path), path) for path in paths)
    return sorted((time, path) for time, path in times if time is not None)


def _signatures(paths: Sequence[Path]) -> tuple[list[Path], list[Signature]]:
    known, signatures = [], []
    for path in paths:
        try:
            signatures.append(signature_of(read_photo(path).pixels))
        except InputError:
            continue
        known.append(path)
    return known, signatures
