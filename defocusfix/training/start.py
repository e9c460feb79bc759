"""Where a training run starts: a network by name, with weights to go on from."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from defocusfix.errors import ModelError, UsageError
from defocusfix.networks.build import build_network
from defocusfix.networks.deblurrer import Deblurrer, SeededDeblurrer, SeededFocusNet, crop_multiple
from defocusfix.training.weights import read_weights


def network_to_train(name: str, start_from: Path | None) -> nn.Module:
    """The network called `name`, fresh or with the weights of a file.

    A seeded network takes weights of its backbone alone as well. Raises ModelError where they
    cannot be read or do not fit.
    """
    network = build_network(name)
    if start_from is None:
        return network
    weights, spec = read_weights(start_from)
    try:
        if spec.architecture == name or not isinstance(network, SeededDeblurrer | SeededFocusNet):
            network.load_state_dict(weights)
        else:
            network.load_backbone(weights)
    except RuntimeError as error:
        raise ModelError(f"the weights {start_from} do not fit {name}", why=str(error)) from error
    return network


def require_map(deblurrer: Deblurrer, name: str, map_weight: float, setting: str) -> None:
    """Raise UsageError where a map is to be trained that the network called `name` lacks."""
    if deblurrer.believes_in == "nothing" and map_weight > 0:
        raise UsageError(
            f"{name!r} says nothing of the blur, so its map cannot be trained",
            why=f"{setting} = {map_weight:g}",
            fix=f"--set recipe.network=seeded-{name}, or --set {setting}=0",
        )


def require_crop(deblurrer: Deblurrer, name: str, crop_px: int, setting: str) -> None:
    """Raise UsageError where crops of this size do not go through the network called `name`."""
    if crop_px % crop_multiple(deblurrer):
        raise UsageError(
            f"{setting} = {crop_px} does not fit {name}",
            why=f"its crops are multiples of {crop_multiple(deblurrer)} px",
        )
