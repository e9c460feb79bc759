"""Networks by name. A plain dictionary: "go to definition" works on every entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from defocusfix.networks.blur_map import BlurMap, blur_map_small
from defocusfix.networks.deblurrer import (
    seeded_focusnet_s,
    seeded_focusnet_s2,
    seeded_restormer,
    seeded_unet,
    seeded_unet_small,
)
from defocusfix.networks.defocusgan import DefocusGenerator, defocusgan_small, own_names
from defocusfix.networks.drbnet import DRBNet, DualPixelDRBNet
from defocusfix.networks.focusnet import focusnet_s, focusnet_s2
from defocusfix.networks.restormer import Restormer
from defocusfix.networks.unet import UNet

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "blur-map": BlurMap,
    "blur-map-small": blur_map_small,
    "defocusgan": DefocusGenerator,
    "defocusgan-small": defocusgan_small,
    "drbnet": DRBNet,
    "drbnet-dual-pixel": DualPixelDRBNet,
    "focusnet-s": focusnet_s,
    "focusnet-s2": focusnet_s2,
    "restormer": Restormer,
    "seeded-focusnet-s": seeded_focusnet_s,
    "seeded-focusnet-s2": seeded_focusnet_s2,
    "seeded-restormer": seeded_restormer,
    "seeded-unet": seeded_unet,
    "seeded-unet-small": seeded_unet_small,
    "unet": UNet,
}

FOCUSNETS = ("focusnet-s", "focusnet-s2")
"""Plain FocusNets, whose own radius map tells what is blurred, and how much."""

PUBLISHED: dict[str, Callable[[Mapping[str, Tensor]], dict[str, Tensor]]] = {
    "defocusgan": own_names,
}
"""Weights by the names of others to weights by our own, of networks whose names differ."""


def build_network(name: str) -> nn.Module:
    """A freshly initialised network. Raises KeyError, naming what is known, for other names."""
    if name not in BUILDERS:
        raise KeyError(f"unknown network {name!r}; known: {', '.join(sorted(BUILDERS))}")
    return BUILDERS[name]()


def by_own_names(name: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights for the network called `name`, published or our own, by the names of its parameters.

    What they lack or have too much is for the network to say.
    """
    return PUBLISHED[name](weights) if name in PUBLISHED else dict(weights)
