"""What the mean over mirrored and turned views, and over several weights, is worth on real photos.

    python benchmarks/views.py --brackets DIR WEIGHTS... [--views 8] [--strength 1 0.9]
    python benchmarks/views.py --brackets DIR WEIGHTS --level-views 1 4 8
    python benchmarks/views.py --brackets DIR WEIGHTS --views 1 --smooth 0.4

WEIGHTS are FocusNets (.safetensors); one that is named twice counts twice. With `--views`, every
view goes through the whole pyramid and the mean is taken at the end, as `restore --best` does with
four; with `--level-views` (a number for each level, full size first) the mean of each level is
handed down to the next; `--map-views` asks only the map branch more than once. `--strength` takes a
share of the change, and `--smooth` softens (Gaussian, sigma in px) what comes out where it was
blurred: what a softer truth could bring at most. Whole photos, bf16.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from defocusfix.evaluation.brackets import BracketCase, load_brackets, score_case, summarise
from defocusfix.evaluation.protocols import FloatImage
from defocusfix.networks.build import build_network
from defocusfix.networks.focusnet import FocusNet
from defocusfix.networks.pyramid import image_pyramid, nothing_known
from defocusfix.training.teaching import View
from defocusfix.training.weights import read_weights

# Upright and mirrored both ways are the first four, as `restore --best` has them.
VIEWS = [View(t, m) for t, m in ((0, False), (0, True), (2, True), (2, False),
                                 (1, False), (1, True), (3, False), (3, True))]  # fmt: skip


def network_of(file: Path) -> FocusNet:
    weights, spec = read_weights(file)
    network = build_network(spec.architecture)
    assert isinstance(network, FocusNet), f"{file} holds no FocusNet"
    network.load_state_dict(weights)
    return network.eval()


def mean(views: Sequence[View], ask: Callable[[View], Tensor]) -> Tensor:
    return torch.stack([view.answered(ask(view).float()) for view in views]).mean(dim=0)


def restored(
    network: FocusNet, image: Tensor, level_views: Sequence[int], map_views: int
) -> tuple[Tensor, Tensor]:
    """Image (1, 3, H, W) and radius (1, 1, H, W), the mean of each level handed down."""
    coarse: Tensor | None = None
    pyramid = image_pyramid(image, network.levels)
    for view, count in reversed(list(zip(pyramid, level_views, strict=True))):
        below = nothing_known(view) if coarse is None else coarse

        def radius_of(asked: View, view: Tensor = view, below: Tensor = below) -> Tensor:
            return network.map(asked.shown(view), asked.shown(below[:, 3:]))

        radius = mean(VIEWS[: max(map_views, count)], radius_of)

        def image_of(
            asked: View, view: Tensor = view, below: Tensor = below, radius: Tensor = radius
        ) -> Tensor:
            own = radius if map_views > 1 else asked.answered(radius_of(asked))
            shown = (asked.shown(part) for part in (view, below[:, :3], own))
            return network.restore(*shown)

        wide = F.interpolate(radius, scale_factor=2.0, mode="bilinear")
        coarse = torch.cat([mean(VIEWS[:count], image_of), wide], dim=1)
    assert coarse is not None
    return coarse[:, :3], coarse[:, 3:]


def padded(image: FloatImage, levels: int) -> Tensor:
    multiple = FocusNet.size_multiple * 2 ** (levels - 1)
    rims = [(0, -side % multiple) for side in image.shape[:2]]
    grown = np.pad(image, (*rims, (0, 0)), mode="reflect")
    return torch.from_numpy(grown).permute(2, 0, 1)[None]


def result(
    networks: Sequence[FocusNet], case: BracketCase, arguments: argparse.Namespace
) -> FloatImage:
    height, width = case.image.shape[:2]
    whole = VIEWS[: arguments.views]
    found = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for network in networks:
            image = padded(case.image, network.levels)
            counts = arguments.level_views or (1,) * network.levels
            for view in whole:
                parts = restored(network, view.shown(image), counts, arguments.map_views)
                answers = [view.answered(part)[..., :height, :width] for part in parts]
                found.append(torch.cat(answers, dim=1))
    total = torch.stack(found).mean(dim=0)[0].permute(1, 2, 0).numpy()
    output, radius = np.ascontiguousarray(total[..., :3]), total[..., 3:]
    if arguments.smooth:
        softened = cv2.GaussianBlur(output, (0, 0), arguments.smooth)
        output = output + radius.clip(0, 1) * (softened - output)
    return np.asarray(output, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--brackets", type=Path, required=True, metavar="DIR")
    parser.add_argument("--views", type=int, default=1, choices=(1, 2, 4, 8))
    parser.add_argument("--level-views", type=int, nargs="+", metavar="N")
    parser.add_argument("--map-views", type=int, default=1, choices=(1, 4, 8))
    parser.add_argument("--strength", type=float, nargs="+", default=[1.0])
    parser.add_argument("--smooth", type=float, default=0.0, metavar="PX")
    arguments = parser.parse_args()
    networks = [network_of(file) for file in arguments.weights]
    cases = load_brackets(arguments.brackets)
    outputs = [result(networks, case, arguments) for case in cases]
    for strength in arguments.strength:
        scores = [
            score_case(case, (case.image + strength * (output - case.image)).clip(0, 1))
            for case, output in zip(cases, outputs, strict=True)
        ]
        for name in ("", "lytro"):
            told = summarise(scores, name)
            print(
                f"strength {strength:.2f}  {name or 'all':5}  gain {told.gain_db:+.3f} dB, "
                f"after local shifts {told.gain_local_db:+.3f} dB, improved {told.improved:.0%}, "
                f"kept {told.kept_db:.1f} dB"
            )


if __name__ == "__main__":
    main()
