"""Time and memory of reblurring by a map: three evaluations of the same sum.

    python benchmarks/kernel_bank_speed.py [--sides 64 128 256] [--batch 1] [--device cpu] [--json]

"all levels" convolves the whole image with every kernel of both sides, as the definition reads, and
lets torch keep what the gradient needs. "skipping" leaves out levels that no pixel needs, as the
authors of the method do. "bank" is what we train with: levels are skipped image by image, small
kernels run as convolutions with the images as channels, large ones as products of Fourier
transforms, and value and slope are summed up level by level. Forwards and backwards, once to the
map and once to the kernels, for two kinds of maps: "smooth", which rises over the image from focus
to the level named, and "noise", in which every pixel has a level of its own up to the last one.

Each measurement has a process of its own. Memory is the peak above what was held before: of the
process on a CPU (so a few MiB are torch's own), of the allocator on CUDA. Time is the median of
several runs after one that does not count; on a CPU it is that of the processor, so that other
programs disturb it less.
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
import torch.nn.functional as F
from torch import Tensor

from defocusfix.networks.kernel_bank import LEVELS, KernelBank, kernel_size, reblur
from defocusfix.networks.radial_kernels import extended
from defocusfix.training.recipes.learnable_kernel import first_kernels

RUNS = 3
MIB = 2**20
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
SMOOTH_LEVEL = 6.0

Evaluation = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Cost:
    """Of one forward and backward pass."""

    evaluation: str
    map: str
    to: str
    side: int
    batch: int
    device: str
    peak_mib: float
    seconds: float
    checksum: float
    """Mean square of the result, which must not depend on the evaluation."""


def all_levels(sharp: Tensor, levels: Tensor, kernels: Tensor) -> Tensor:
    return _by_definition(sharp, levels, kernels, skips=False)


def skipping(sharp: Tensor, levels: Tensor, kernels: Tensor) -> Tensor:
    return _by_definition(sharp, levels, kernels, skips=True)


def bank(sharp: Tensor, levels: Tensor, kernels: Tensor) -> Tensor:
    return reblur(sharp, levels, kernels, "reflect")


EVALUATIONS: dict[str, Evaluation] = {
    "all levels": all_levels,
    "skipping": skipping,
    "bank": bank,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256], metavar="PX")
    parser.add_argument("--batch", type=int, default=1, metavar="N")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--json", action="store_true", help="write one JSON array instead")
    wanted = parser.parse_args()

    costs: list[Cost] = []
    if not wanted.json:
        print(f"torch {torch.__version__}, {wanted.device}, {torch.get_num_threads()} threads")
        print("evaluation    map      to        side  batch  peak MiB  ms per pass")
    fresh = multiprocessing.get_context("spawn")
    for side in wanted.sides:
        for kind in ("smooth", "noise"):
            for to in ("map", "kernels"):
                found = []
                for name in EVALUATIONS:
                    with fresh.Pool(1) as pool:
                        asked = (name, kind, to, side, wanted.batch, wanted.device)
                        found.append(pool.apply(measured, asked))
                    if not wanted.json:
                        print(_line(found[-1]), flush=True)
                if max(abs(cost.checksum - found[0].checksum) for cost in found) > 1e-5:
                    raise SystemExit(f"the evaluations disagree at {side} px")
                costs += found
    if wanted.json:
        print(json.dumps([asdict(cost) for cost in costs], indent=2))


def measured(name: str, kind: str, to: str, side: int, batch: int, device: str) -> Cost:
    """The cost of one evaluation; called in a process that has done nothing else."""
    generator = torch.Generator().manual_seed(0)
    made = KernelBank()
    made.start_from(first_kernels(LEVELS))
    kernels = made.kernels().detach().to(device).requires_grad_(to == "kernels")
    sharp = torch.rand(batch, 3, side, side, generator=generator).to(device)
    levels = SMOOTH_LEVEL * torch.linspace(0, 1, side).expand(batch, 3, side, side)
    if kind == "noise":
        noise = torch.rand(batch, 3, side, side, generator=generator)
        levels = (LEVELS - 1) * (2 * noise - 1)
    levels = levels.clone().to(device).requires_grad_(to == "map")

    def one_pass() -> float:
        energy = EVALUATIONS[name](sharp, levels, kernels).square().mean()
        energy.backward()
        return energy.item()  # waits for the GPU

    clock = time.process_time if device == "cpu" else time.perf_counter
    before = peak_bytes(device)
    checksum = one_pass()
    peak = peak_bytes(device) - before
    seconds = []
    for _ in range(RUNS):
        start = clock()
        one_pass()
        seconds.append(clock() - start)
    median = statistics.median(seconds)
    return Cost(name, kind, to, side, batch, device, peak / MIB, median, checksum)


def peak_bytes(device: str) -> int:
    """The most memory held so far."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


def _by_definition(sharp: Tensor, levels: Tensor, kernels: Tensor, *, skips: bool) -> Tensor:
    total = torch.zeros_like(levels)
    for side, sign in enumerate((1, -1)):
        for level in range(kernels.shape[1]):
            weight = (1 - (levels - sign * level).abs()).clamp_min(0) * (0.5 if level == 0 else 1)
            if skips and not weight.any():
                continue
            rim = (kernels.shape[-1] - kernel_size(level)) // 2
            inner = slice(rim, kernels.shape[-1] - rim)
            kernel = kernels[side, level, inner, inner]
            reach = len(kernel) // 2
            wide = extended(sharp, reach, "reflect").flatten(0, 1).unsqueeze(1)
            blurred = F.conv2d(wide, kernel.flip(0, 1)[None, None]).view_as(levels)
            total = total + weight * blurred
    return total


def _line(cost: Cost) -> str:
    return (
        f"{cost.evaluation:13} {cost.map:8} {cost.to:8} {cost.side:5d} {cost.batch:6d} "
        f"{cost.peak_mib:9.1f} {1000 * cost.seconds:12.1f}"
    )


if __name__ == "__main__":
    main()
