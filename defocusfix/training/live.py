"""Batches rendered while training runs: sample k is a function of (seed, k).

Worker processes draw what is random about the samples ahead of time: crops of photos, cut-outs,
point spread functions. Lens blur and camera are computed in batches on the device that trains.

No epoch comes round again, so a scene is its own augmentation: its sources and lens shapes are
flipped and turned one by one. What `CropSource` does to colour and brightness is done here too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from defocusfix.rendering.photos import PhotoLibrary
from defocusfix.rendering.render import render
from defocusfix.rendering.sample import Sample
from defocusfix.rendering.workers import SampleWorkers, draw
from defocusfix.training.data import GAIN_RANGE, sample_numbers
from defocusfix.training.recipe import Tensors


class LiveSource:
    """Training samples from photos or procedural textures, without a set on disk.

    Safe to use from several threads; steps should be asked for about in order, since samples of
    the next few are drawn ahead. On a GPU, rendering runs on a stream of its own beside that of
    training, and what `batch` returns is finished: it may be used on the default stream at once.
    """

    def __init__(
        self,
        photos: Sequence[Path],
        seed: int,
        *,
        size: int = 256,
        device: Callable[[], torch.device],
        workers: int | None = None,
    ) -> None:
        """photos: folders of sharp photos; none renders procedural textures only.

        size: side of a sample in px, even.
        device: where to render, asked at each batch: a recipe is built before the trainer moves
        its networks.
        workers: processes that draw samples; 0 draws them in the calling thread, None takes all
        cores but one, shared among the training processes of this machine.
        Raises InputError if a folder holds no photos.
        """
        library = PhotoLibrary(photos) if photos else None
        self._processes = free_cores() if workers is None else workers
        self._workers = SampleWorkers(
            library, draw, seed=seed, size=size, processes=self._processes
        )
        self._seed = seed
        self._device = device
        self._lock = threading.Lock()
        self._expected_steps = 0
        self._streams: dict[torch.device, torch.cuda.Stream] = {}

    def batch(self, step: int, batch_size: int, rank: int = 0, world: int = 1) -> Tensors:
        """As `CropSource.batch`, but on the device: slice `rank` of `world` of the joint batch.

        Returns "blurred" and "all_in_focus" (B, 3, H, W) float32 in [0, 1], channels last, and
        "radius_px" (B, 1, H/2, W/2) float32, absolute blur radius in px of the sample.
        Raises ValueError if the processes cannot share the batch evenly.
        """
        numbers = sample_numbers(step, batch_size, rank, world)
        # Every process has a sample to draw while those before wait for their turn.
        last = step + 2 + 2 * self._processes // len(numbers)
        with self._lock:
            for ahead in range(max(step, self._expected_steps), last):
                self._workers.expect(sample_numbers(ahead, batch_size, rank, world))
            self._expected_steps = max(self._expected_steps, last)
        return self._rendered(numbers, self._workers.take(numbers))

    def _rendered(self, numbers: range, samples: list[Sample]) -> Tensors:
        device = self._device()
        if device.type != "cuda":
            return self._tensors(numbers, samples, device)
        with self._lock:
            if device not in self._streams:
                self._streams[device] = torch.cuda.Stream(device)
            stream = self._streams[device]
        # The current device and stream belong to a thread, and this one is not the trainer's.
        with torch.cuda.device(device), torch.cuda.stream(stream):
            tensors = self._tensors(numbers, samples, device)
        stream.synchronize()  # this thread waits, training does not
        for tensor in tensors.values():
            # Else its memory could be given to the next batch while training still reads it.
            tensor.record_stream(torch.cuda.default_stream(device))
        return tensors

    def _tensors(self, numbers: range, samples: list[Sample], device: torch.device) -> Tensors:
        # A processor gains nothing from batches and would pay for padding to the largest scene.
        at_once = 1 if device.type == "cpu" else len(samples)
        parts = [
            render(samples[first : first + at_once], device)
            for first in range(0, len(samples), at_once)
        ]
        blurred = torch.cat([part.blurred for part in parts])
        sharp = torch.cat([part.all_in_focus for part in parts])
        rngs = [np.random.default_rng((self._seed, number, 2)) for number in numbers]
        channels = torch.from_numpy(np.stack([rng.permutation(3) for rng in rngs])).to(device)
        wanted = torch.tensor([rng.uniform(*GAIN_RANGE) for rng in rngs], device=device)
        brightest = torch.maximum(blurred, sharp).amax(dim=(1, 2, 3)).clamp_min(1)
        gain = torch.minimum(wanted.float(), 255 / brightest) / 255
        return {
            "blurred": _varied(blurred, channels, gain),
            "all_in_focus": _varied(sharp, channels, gain),
            "radius_px": torch.cat([part.radius_px for part in parts]).abs().unsqueeze(1),
        }


def _varied(pictures: Tensor, channels: Tensor, gain: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32, laid out channels last, permuted and scaled."""
    permuted = torch.stack(
        [picture.index_select(2, order) for picture, order in zip(pictures, channels, strict=True)]
    )
    return (permuted * gain.view(-1, 1, 1, 1)).permute(0, 3, 1, 2)


def free_cores() -> int:
    """Cores for one training process of this machine to draw samples with."""
    sharing = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # set by torchrun
    return max(1, ((os.cpu_count() or 1) - 1) // sharing)
