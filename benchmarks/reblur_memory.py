"""Memory and time of the reblurring module's blur: ring sums against shifted copies.

    python benchmarks/reblur_memory.py [--sides 64 128 256] [--batch 1] [--device cpu] [--json]

Both evaluations blur the same noise with the same seeds and weights, forwards and backwards to the
image, the seeds and the weights, without the networks that predict these. "copies" expands the
seven kernels of every pixel, 679 numbers, and stacks as many shifted copies of the image, as the
authors of the method do; "rings" is what we train with. Each measurement has a process of its own.
Memory is the peak above what was held before: of the process on a CPU (its largest resident size,
so a few MiB are torch's own), of the allocator on CUDA. Time is the median of several runs after
one that does not count. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from defocusfix.networks.radial_kernels import BRANCHES, SEEDS, RadialKernels, apply_kernels

RUNS = 5
MIB = 2**20
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes

Blur = Callable[[RadialKernels, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Cost:
    """Of one forward and backward pass."""

    evaluation: str
    side: int
    batch: int
    device: str
    peak_mib: float
    seconds: float
    checksum: float
    """Mean square of the result, which must not depend on the evaluation."""


def by_rings(kernels: RadialKernels, image: Tensor, seeds: Tensor, weights: Tensor) -> Tensor:
    return kernels.blur(image, seeds, weights)


def by_copies(kernels: RadialKernels, image: Tensor, seeds: Tensor, weights: Tensor) -> Tensor:
    as_it_is, *shares = weights.split(1, dim=1)
    blurred = as_it_is * image
    for share, kernel in zip(shares, kernels.kernels(seeds), strict=True):
        blurred = blurred + share * apply_kernels(image, kernel, kernels.padding)
    return blurred


EVALUATIONS: dict[str, Blur] = {"rings": by_rings, "copies": by_copies}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256], metavar="PX")
    parser.add_argument("--batch", type=int, default=1, metavar="N")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--json", action="store_true", help="write one JSON array instead")
    wanted = parser.parse_args()

    costs = []
    if not wanted.json:
        print(f"torch {torch.__version__}, {wanted.device}, {torch.get_num_threads()} threads")
        print("evaluation   batch   side   peak MiB   ms per pass")
    fresh = multiprocessing.get_context("spawn")
    for side in wanted.sides:
        for name in EVALUATIONS:
            with fresh.Pool(1) as pool:
                cost = pool.apply(measured, (name, side, wanted.batch, wanted.device))
            costs.append(cost)
            if not wanted.json:
                print(
                    f"{name:10}{cost.batch:8d}{side:7d}{cost.peak_mib:11.1f}"
                    f"{1000 * cost.seconds:14.1f}",
                    flush=True,
                )
        if abs(costs[-1].checksum - costs[-2].checksum) > 1e-5:
            raise SystemExit(f"the evaluations disagree at {side} px")
    if wanted.json:
        print(json.dumps([asdict(cost) for cost in costs], indent=2))


def measured(name: str, side: int, batch: int, device: str) -> Cost:
    """The cost of one evaluation; called in a process that has done nothing else."""
    generator = torch.Generator().manual_seed(0)
    kernels = RadialKernels().to(device)

    def noise(channels: int) -> Tensor:
        values = torch.randn(batch, channels, side, side, generator=generator).to(device)
        return values.requires_grad_()

    image, seeds, logits = noise(3), noise(SEEDS), noise(BRANCHES)

    def one_pass() -> float:
        blurred = EVALUATIONS[name](kernels, image, seeds, logits.softmax(dim=1))
        energy = blurred.square().mean()
        energy.backward()
        return energy.item()  # waits for the GPU

    before = peak_bytes(device)
    checksum = one_pass()
    peak = peak_bytes(device) - before
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        one_pass()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    return Cost(name, side, batch, device, peak / MIB, median, checksum)


def peak_bytes(device: str) -> int:
    """The most memory held so far."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


if __name__ == "__main__":
    main()
