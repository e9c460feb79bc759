"""Pairs rendered while training runs, each used several times.

For a GPU that trains faster than processors render.

Worker processes render whole pairs. The trainer's device keeps the latest of them, and every batch
is a random choice of these, turned, coloured and lit anew. Batch k is a function of (seed, k): pair
number n enters at a step that depends on n alone, however fast it was rendered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from defocusfix.rendering.pair import RenderedPair, rendered_pair
from defocusfix.rendering.photos import PhotoLibrary
from defocusfix.rendering.workers import SampleWorkers
from defocusfix.training.data import GAIN_RANGE, sample_numbers
from defocusfix.training.live import free_cores
from defocusfix.training.recipe import Tensors

FIRST_BATCHES = 8  # of which the first batch is a choice
LATE = 8  # a batch may be asked for after so many later ones
AHEAD = 32  # pairs per process that are rendered before they are needed


class ScenePool:
    """Training batches of pairs rendered from photos or procedural textures.

    Safe to use from several threads; steps should be asked for about in order. Several training
    processes each keep pairs of their own: their joint batches are not those of one process.
    """

    def __init__(
        self,
        photos: Sequence[Path],
        seed: int,
        *,
        uses: int,
        capacity: int,
        size: int = 256,
        device: Callable[[], torch.device],
        workers: int | None = None,
    ) -> None:
        """photos: folders of sharp photos; none renders procedural textures only.

        uses: batches in which a pair is used, in the mean.
        capacity: pairs kept on the device; one takes 6.5 * size^2 bytes.
        size: side of a pair in px, even.
        device: where the pairs are kept, asked at the first batch.
        workers: processes that render; 0 renders in the calling thread, None takes all cores but
        one, shared among the training processes of this machine.
        Raises InputError if a folder holds no photos.
        """
        library = PhotoLibrary(photos) if photos else None
        self._processes = free_cores() if workers is None else workers
        self._workers = SampleWorkers(
            library, rendered_pair, seed=seed, size=size, processes=self._processes
        )
        self._seed, self._uses, self._capacity, self._size = seed, uses, capacity, size
        self._device = device
        self._lock = threading.Lock()
        self._arrived = 0  # pairs of this process in the pool, or thrown out of it again
        self._kept: Tensors = {}

    def batch(self, step: int, batch_size: int, rank: int = 0, world: int = 1) -> Tensors:
        """The batch of a step on the device: slice `rank` of `world`, B = batch_size / world.

        Returns "blurred" and "all_in_focus" (B, 3, H, W) float32 in [0, 1], channels last, and
        "radius_px" (B, 1, H/2, W/2) float32, absolute blur radius in px of the pair.
        Raises ValueError if the processes cannot share the batch evenly, or the pool is too small.
        """
        share = len(sample_numbers(step, batch_size, rank, world))
        first, last = self._present(step, share)
        rng = np.random.default_rng((self._seed, step, rank, 3))
        numbers = rng.integers(first, last, share)
        with self._lock:
            self._let_in(last, rank, world)
            where = torch.from_numpy(numbers % self._capacity).to(self._device())
            chosen = {name: kept.index_select(0, where) for name, kept in self._kept.items()}
        return _varied(chosen, rng)

    def _present(self, step: int, share: int) -> tuple[int, int]:
        """The numbers of the pairs, of this process's own, that the batch of `step` chooses from.

        The oldest that are kept are left out, so that a batch asked for late still finds its own.
        """
        last = FIRST_BATCHES * share + step * share // self._uses
        first = max(0, last - self._capacity + LATE * share)
        if self._capacity < (FIRST_BATCHES + LATE) * share:
            raise ValueError(
                f"a pool of {self._capacity} pairs is too small for batches of {share}: "
                f"{(FIRST_BATCHES + LATE) * share} are needed"
            )
        return first, last

    def _let_in(self, last: int, rank: int, world: int) -> None:
        """Take pairs up to number `last` into the pool, and have the next ones rendered."""
        # A resumed run renders again what was in the pool when it stopped.
        begin = max(self._arrived, last - self._capacity)

        def all_processes(of_own: range) -> range:
            return range(of_own.start * world + rank, of_own.stop * world + rank, world)

        self._workers.expect(all_processes(range(begin, last + AHEAD * self._processes)))
        while begin < last:
            some = range(begin, min(begin + 256, last))
            self._store(some, self._workers.take(all_processes(some)))
            begin = some.stop
        self._arrived = max(self._arrived, last)

    def _store(self, numbers: range, pairs: list[RenderedPair]) -> None:
        where = torch.tensor([number % self._capacity for number in numbers])
        for name in ("blurred", "all_in_focus", "radius_px"):
            new = torch.from_numpy(np.stack([getattr(pair, name) for pair in pairs]))
            if name not in self._kept:
                self._kept[name] = new.new_empty(
                    (self._capacity, *new.shape[1:]), device=self._device()
                )
            kept = self._kept[name]
            kept.index_copy_(0, where.to(kept.device), new.to(kept.device))


def _varied(chosen: Tensors, rng: np.random.Generator) -> Tensors:
    """Turned and mirrored all alike; channels permuted all alike; brightness each its own."""
    turns, is_mirrored, order = int(rng.integers(4)), rng.random() < 0.5, rng.permutation(3)
    wanted = torch.from_numpy(rng.uniform(*GAIN_RANGE, len(chosen["blurred"])).astype(np.float32))
    blurred, sharp = chosen["blurred"], chosen["all_in_focus"]
    brightest = torch.maximum(blurred, sharp).amax(dim=(1, 2, 3)).clamp_min(1)
    gain = (torch.minimum(wanted.to(blurred.device), 255 / brightest) / 255).view(-1, 1, 1, 1)

    def turned(values: Tensor) -> Tensor:
        values = torch.rot90(values, turns, (1, 2))
        return values.flip(2) if is_mirrored else values

    def picture(stored: Tensor) -> Tensor:
        channels = torch.from_numpy(order).to(stored.device)
        shown = turned(stored).index_select(3, channels) * gain  # (B, H, W, 3)
        return shown.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    return {
        "blurred": picture(blurred),
        "all_in_focus": picture(sharp),
        "radius_px": turned(chosen["radius_px"]).float().abs().unsqueeze(1),
    }
