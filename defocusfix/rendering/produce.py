"""Sets of rendered pairs on disk, made by several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from defocusfix.pairs.rendered import SHARD_SIZE, shard_folder, write_facts, write_shard
from defocusfix.rendering.pair import rendered_pair
from defocusfix.rendering.photos import PhotoLibrary, facts_of_photos


@dataclass(frozen=True)
class RenderSettings:
    """What a set is rendered from; the same settings give the same set, byte for byte."""

    photos: tuple[Path, ...] = ()
    """Folders of sharp photos; none renders procedural textures only."""
    size: int = 256
    """Side of a crop in pixels, a multiple of 16."""
    count: int = 20_000
    """Number of crops, rounded up to whole shards."""
    seed: int = 0
    """Sample k of a set is a function of (seed, k)."""
    shard_size: int = SHARD_SIZE
    """Crops that are written together, whole or not at all."""

    @property
    def whole_count(self) -> int:
        """Crops that there are going to be."""
        return self.shards * self.shard_size

    @property
    def shards(self) -> int:
        """Shards that there are going to be."""
        return -(-self.count // self.shard_size)


def render_set(settings: RenderSettings, folder: Path, *, processes: int) -> Iterator[int]:
    """Fill `folder` with a rendered set and yield the number of finished crops as it grows.

    Shards that are there already are kept, so a set that was cut off goes on where it stopped.
    """
    facts = {k: v for k, v in asdict(settings).items() if k != "photos"}
    library = PhotoLibrary(settings.photos) if settings.photos else None
    write_facts(folder, facts | facts_of_photos(library.files if library else ()))
    missing = [n for n in range(settings.shards) if not shard_folder(folder, n).exists()]
    done = (settings.shards - len(missing)) * settings.shard_size
    yield done
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _start_worker, (settings, folder)) as pool:
        for _ in pool.imap_unordered(_render_shard, missing):
            done += settings.shard_size
            yield done


def _start_worker(settings: RenderSettings, folder: Path) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    library = PhotoLibrary(settings.photos) if settings.photos else None
    _worker.update(settings=settings, folder=folder, library=library)


def _render_shard(number: int) -> None:
    settings: RenderSettings = _worker["settings"]  # type: ignore[assignment]
    library: PhotoLibrary | None = _worker["library"]  # type: ignore[assignment]
    numbers = range(number * settings.shard_size, (number + 1) * settings.shard_size)
    pairs = [rendered_pair(library, settings.seed, settings.size, k) for k in numbers]
    blurred, sharp, radius = (
        np.stack([getattr(pair, name) for pair in pairs])
        for name in ("blurred", "all_in_focus", "radius_px")
    )
    write_shard(_worker["folder"], number, blurred, sharp, radius)  # type: ignore[arg-type]


_worker: dict[str, object] = {}  # what a worker process keeps between shards
