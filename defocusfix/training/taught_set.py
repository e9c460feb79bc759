"""Sets whose truth is what trained networks restored, for another network to learn.

They look like rendered sets (`pairs/rendered.py`), and are learnt from like them. The pictures to
restore are those of a rendered set, whose exact radius is kept, or windows of photos, of which no
better picture is known and whose radius is the teachers' mean too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F

from defocusfix.errors import UsageError
from defocusfix.pairs.rendered import (
    SHARD_SIZE,
    TEACHERS,
    RenderedSet,
    is_rendered_set,
    shard_folder,
    write_facts,
    write_shard,
)
from defocusfix.training.data import Picture, RadiusMap, as_batch
from defocusfix.training.photo_data import PhotoSource
from defocusfix.training.teaching import Teachers

BATCH_SIZE = 8  # pictures that networks see at once


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is to be restored."""

    facts: dict[str, Any]
    """What tells the source from others."""
    count: int
    size: int
    """Side in px."""
    get: Callable[[int], tuple[Picture, RadiusMap | None]]
    """Picture k (H, W, 3) uint8, and its signed blur radius (H/2, W/2) in px where it is known."""

    @classmethod
    def of(cls, source: Path, *, count: int, size: int, seed: int) -> Self:
        """The first blurred pictures of a rendered set, or windows of the photos of a folder.

        count: of pictures; of a set no more than it has. size: side of the windows.
        Raises InputError where there are none.
        """
        if not is_rendered_set(source):
            photos = PhotoSource([source], seed, size=size)
            facts = {"source": "photos", **photos.facts, "windows_seed": seed}
            return cls(facts, count, size, lambda k: (photos.sample(k), None))
        pairs = RenderedSet(source)

        def pair(k: int) -> tuple[Picture, RadiusMap | None]:
            blurred, _, radius = pairs[k]
            return blurred, radius.astype(np.float32)

        facts = {"source": "pairs", "pairs": pairs.facts}
        return cls(facts, min(count, len(pairs)), len(pairs[0][0]), pair)


def teach_set(
    pictures: Pictures, teachers: Teachers, folder: Path, *, seed: int, shard_size: int = SHARD_SIZE
) -> Iterator[int]:
    """Fill `folder` with a taught set and yield the number of finished pictures as it grows.

    seed: of the views that are asked about. shard_size: how many pictures are written together.
    Shards that are there already are kept, so a set that was cut off goes on where it stopped.
    Raises InputError where a picture cannot be read, UsageError where pictures do not suit the
    teachers, OutputError where the folder holds another set.
    """
    if pictures.size % teachers.size_multiple:
        raise UsageError(
            f"teachers cannot be asked about pictures of {pictures.size} px",
            why=f"their sides must be multiples of {teachers.size_multiple} px",
        )
    facts: dict[str, Any] = {
        TEACHERS: teachers.facts,
        **pictures.facts,
        "pictures": pictures.count,  # no "count", which might grow: the last shard may be small
        "size": pictures.size,
        "seed": seed,
        "shard_size": shard_size,
    }
    write_facts(folder, facts)
    starts = range(0, pictures.count, shard_size)
    shards = [range(start, min(start + shard_size, pictures.count)) for start in starts]
    missing = [n for n in range(len(shards)) if not shard_folder(folder, n).exists()]
    done = pictures.count - sum(len(shards[number]) for number in missing)
    yield done
    for number in missing:
        rng = np.random.default_rng((seed, number))
        write_shard(folder, number, *_answered(pictures, shards[number], teachers, rng))
        done += len(shards[number])
        yield done


def _answered(
    pictures: Pictures, numbers: Sequence[int], teachers: Teachers, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The arrays of a shard: pictures, what they were restored to, and blur radii."""
    blurred: list[Picture] = []
    restored: list[Picture] = []
    radii: list[RadiusMap] = []
    for first in range(0, len(numbers), BATCH_SIZE):
        asked, known = zip(*map(pictures.get, numbers[first : first + BATCH_SIZE]), strict=True)
        image, radius = teachers.answer(as_batch(np.stack(asked)), rng)
        whole = image.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1)
        means = F.avg_pool2d(radius, 2)[:, 0]  # (B, H/2, W/2)
        blurred += asked
        restored += list(whole.numpy())
        radii += [
            mean if exact is None else exact
            for exact, mean in zip(known, means.numpy(), strict=True)
        ]
    return np.stack(blurred), np.stack(restored), np.stack(radii).astype(np.float16)
