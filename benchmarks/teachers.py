"""How far teachers' single answers are from their mean, and how far that mean is from the truth.

    python benchmarks/teachers.py SET WEIGHTS... [--student FILE] [--pairs 48] [--views 2]

SET is a rendered set; WEIGHTS are FocusNets (.safetensors), and one that is named twice counts
twice. Of each the root mean square distance of one answer from the mean of all teachers over all
asked views is printed, of --student the same, in steps of 1/255, mean over pictures. Then, by how
many times of what the mean changes it misses the truth: what `training/teaching.py` expects of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.data import as_batch
from defocusfix.training.losses import mean_square
from defocusfix.training.teaching import Teachers

BATCH = 8
CHANGED = 2e-5  # mean square from which a picture counts as changed


def answers(file: Path, pictures: Tensor, views: int) -> Tensor:
    """(B, 3, H, W), the mean over views; the views are drawn anew for every batch."""
    teacher = Teachers([file], views=views, device=torch.device("cpu"))
    rng = np.random.default_rng(views)
    return torch.cat([teacher.answer(part, rng)[0] for part in pictures.split(BATCH)])


def steps(one: Tensor, other: Tensor) -> float:
    """Root mean square difference in steps of 1/255, mean over pictures."""
    return float(mean_square(one, other).sqrt().mean() * 255)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--student", type=Path)
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--views", type=int, default=2, choices=(1, 2, 4, 8))
    arguments = parser.parse_args()

    rendered = RenderedSet(arguments.set)
    rendered.require_truth()
    chosen = np.linspace(0, len(rendered) - 1, min(arguments.pairs, len(rendered))).astype(int)
    blurred, truth = (
        as_batch(np.stack([rendered[int(k)][part] for k in chosen])) for part in (0, 1)
    )
    of_each = {file: answers(file, blurred, arguments.views) for file in set(arguments.weights)}
    mean = torch.stack([of_each[file] for file in arguments.weights]).mean(dim=0).clamp(0, 1)
    print(f"{len(chosen)} pairs, steps of 1/255; the mean changes {steps(mean, blurred):.2f}")
    for file in of_each:
        print(f"{file}: one answer is {steps(answers(file, blurred, 1), mean):.2f} from the mean")
    if arguments.student is not None:
        found = steps(answers(arguments.student, blurred, 1), mean)
        print(f"{arguments.student}: {found:.2f} from the mean")
    errors, changes = mean_square(mean, truth), mean_square(mean, blurred)
    ratio = (errors / changes)[changes > CHANGED].median()
    print(
        f"the mean misses the truth by {ratio:.1f} times what it changes (median), "
        f"{errors.sum() / changes.sum():.1f} times in the sum"
    )


if __name__ == "__main__":
    main()
