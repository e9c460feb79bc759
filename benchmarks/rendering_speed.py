"""How many training pairs per second can be rendered, for a set on disk and during training.

    python benchmarks/rendering_speed.py --photos ~/sharp
    python benchmarks/rendering_speed.py --device cuda --batch 16 64 --workers 15

Rows: drawing what is random about a pair (always on the processor), rendering drawn pairs, both
together as each process of `defocusfix render` does it, both by worker processes as `defocusfix
train` does it where each pair is used several times (`recipe.live_uses`), and both as it does it
otherwise, live, with worker processes that draw ahead. Torch computes with OMP_NUM_THREADS threads.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch

from defocusfix.rendering.pair import rendered_pair
from defocusfix.rendering.photos import PhotoLibrary
from defocusfix.rendering.render import render
from defocusfix.rendering.workers import SampleWorkers, draw
from defocusfix.training.device import training_device
from defocusfix.training.live import LiveSource

SEED = 11
CPU = torch.device("cpu")
AHEAD = 32  # whole pairs that each process has to render while others are taken


def rate(make: Callable[[int], int], seconds: float) -> float:
    """Pairs per second; `make` makes round number k and returns its number of pairs."""
    rounds = 0
    for duration in (seconds / 2, seconds):  # at first, photos are read and processes start
        made, began = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < duration:
            made += make(rounds)
            rounds += 1
    return made / elapsed


def processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description="Pairs rendered per second.")
    parser.add_argument(
        "--photos", type=Path, nargs="*", default=[], help="folders; none: textures"
    )
    parser.add_argument("--size", type=int, default=256, help="side of a pair in px")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 16], help="pairs at once")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 1) - 1))
    parser.add_argument("--seconds", type=float, default=4.0, help="duration of each measurement")
    wanted = parser.parse_args()
    cv2.setNumThreads(1)
    device = training_device(wanted.device)
    library = PhotoLibrary(wanted.photos) if wanted.photos else None
    drawn = [draw(library, SEED, wanted.size, k) for k in range(max(*wanted.batch, 64))]

    def draw_one(k: int) -> int:
        draw(library, SEED, wanted.size, k)
        return 1

    def set_of_one(k: int) -> int:
        render([draw(library, SEED, wanted.size, k)], CPU)
        return 1

    def whole_pairs() -> Callable[[int], int]:
        workers = SampleWorkers(
            library, rendered_pair, seed=SEED, size=wanted.size, processes=wanted.workers
        )

        def make(k: int) -> int:
            workers.expect(range(k, k + AHEAD * wanted.workers))
            return len(workers.take([k]))

        return make

    def render_drawn(count: int) -> Callable[[int], int]:
        def make(k: int) -> int:
            first = k * count % (len(drawn) - count + 1)
            render(drawn[first : first + count], device)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return count

        return make

    def live(count: int) -> Callable[[int], int]:
        source = LiveSource(
            wanted.photos, SEED, size=wanted.size, device=lambda: device, workers=wanted.workers
        )
        return lambda k: len(source.batch(k, count)["blurred"])

    print(f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s) of torch")
    if device.type == "cuda":
        print(torch.cuda.get_device_name(device))
    print(f"{wanted.size} px, {len(library.files) if library else 0} photos\n")
    print("| what | device | at once | pairs/s |\n|---|---|---|---|")
    rows = [
        ("draw, 1 process", "cpu", 1, draw_one),
        ("draw and render, 1 process", "cpu", 1, set_of_one),
        *(("render drawn pairs", str(device), n, render_drawn(n)) for n in wanted.batch),
        (f"whole pairs, {wanted.workers} worker(s)", "cpu", 1, whole_pairs()),
        *((f"live, {wanted.workers} worker(s)", str(device), n, live(n)) for n in wanted.batch),
    ]
    for what, where, count, make in rows:
        print(f"| {what} | {where} | {count} | {rate(make, wanted.seconds):.1f} |", flush=True)


if __name__ == "__main__":
    main()
