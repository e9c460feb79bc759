"""Count the silent channels of weights of focusnet-s, and carry the rest over to focusnet-s2.

    python benchmarks/silent_channels.py OLD.safetensors CROPS -o NEW.safetensors

CROPS is a rendered set. A hidden channel is silent if its ReLU lets nothing through on any of the
pairs looked at. A residual block in which all are silent adds one vector everywhere, which goes
into the bias of the convolution before it; of the first and the last block of the middle the
loudest channels are kept. Prints how many channels speak and how far the results of the two
networks differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from defocusfix.networks.build import build_network
from defocusfix.networks.focusnet import FocusNet
from defocusfix.networks.pyramid import restore_levels
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.export import load_network
from defocusfix.training.weights import write_weights

AUDIBLE = 1e-6
Weights = dict[str, Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("crops", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=64)
    wanted = parser.parse_args()

    old, spec = load_network(wanted.old)
    new = build_network("focusnet-s2")
    assert isinstance(old, FocusNet)
    assert isinstance(new, FocusNet)
    new.levels = old.levels = spec.levels
    photos = photos_of(RenderedSet(wanted.crops), wanted.pairs)
    loudness, before = listened(old, photos)
    for name, channels in loudness.items():
        print(f"{name:28} {int((channels > AUDIBLE).sum()):3} of {len(channels)} channels speak")
    new.load_state_dict(carried(dict(old.state_dict()), dict(new.state_dict()), loudness))
    _, after = listened(new, photos)
    change = (before - photos).square().mean().sqrt()
    print(f"the results differ by {(after - before).square().mean().sqrt() / change:.2%} of what")
    print("the old weights change in the photos, root mean square")
    spec = replace(spec, architecture="focusnet-s2", weights_sha256="")
    write_weights(wanted.output, dict(new.state_dict()), spec)


def photos_of(rendered: RenderedSet, count: int) -> Tensor:
    """Blurred photos (N, 3, H, W) in [0, 1], spread over a set."""
    picked = np.linspace(0, len(rendered) - 1, count).astype(int)
    pixels = np.stack([rendered[int(index)][0] for index in picked])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def listened(network: FocusNet, photos: Tensor) -> tuple[Weights, Tensor]:
    """Loudest value of every hidden channel, by the name of its block; and the restored photos."""
    loudness: Weights = {}

    def note(name: str, values: Tensor) -> None:
        loudest = values.clamp_min(0).amax((0, 2, 3))
        loudness[name] = torch.maximum(loudness.get(name, loudest), loudest)

    for name, module in network.named_modules():
        if name.endswith(".expand"):
            block = name.removesuffix(".expand")
            module.register_forward_hook(lambda _, __, out, block=block: note(block, out))
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    restored = [restore_levels(network, photo[None], network.levels)[0][0] for photo in photos]
    return loudness, torch.cat(restored)


def carried(old: Weights, new: Weights, loudness: Mapping[str, Tensor]) -> Weights:
    """The weights of focusnet-s2 that do what the old ones do."""
    weights = dict(old)
    drop(weights, "body.encoders.2.1", "body.encoders.2.0.project.bias")
    for block in (1, 2):
        drop(weights, f"body.middle.{block}", "body.middle.0.project.bias")
    for before, after in ((0, 0), (3, 1)):
        n_kept = len(new[f"body.middle.{after}.expand.bias"])
        keep(weights, f"body.middle.{before}", f"body.middle.{after}", loudness, n_kept)
    return weights


def drop(weights: Weights, block: str, bias: str) -> None:
    """Take a silent block out; what its last convolution adds goes to a bias before it."""
    weights[bias] = weights[bias] + weights[f"{block}.project.bias"]
    for part in ("expand", "project"):
        for kind in ("weight", "bias"):
            del weights[f"{block}.{part}.{kind}"]


def keep(
    weights: Weights, before: str, after: str, loudness: Mapping[str, Tensor], n_kept: int
) -> None:
    """Keep the loudest channels of a block, and call it by another name."""
    kept = loudness[before].argsort(descending=True)[:n_kept]
    weights[f"{after}.expand.weight"] = weights.pop(f"{before}.expand.weight")[kept]
    weights[f"{after}.expand.bias"] = weights.pop(f"{before}.expand.bias")[kept]
    weights[f"{after}.project.weight"] = weights.pop(f"{before}.project.weight")[:, kept]
    weights[f"{after}.project.bias"] = weights.pop(f"{before}.project.bias")


if __name__ == "__main__":
    main()
