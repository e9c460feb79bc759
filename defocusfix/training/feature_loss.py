"""A loss that compares what VGG-19 makes of two pictures, instead of their pixels.

Features forgive: a picture that lies a pixel beside its target has other pixels but much the same
features, the more so the deeper they are. DRBNet (CVPR 2022, arXiv 2204.00367) learns so from pairs
of real photos that do not line up; which layers it takes, and how it compares them, its authors do
not say.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from defocusfix.catalogue.entries import find_entry
from defocusfix.catalogue.places import find_places
from defocusfix.catalogue.store import Store, pull_command
from defocusfix.errors import ModelError
from defocusfix.networks.vgg import Vgg19Features, layer_index

Distance = Literal["l1", "l2"]

ENTRY = "vgg19-features"  # of the catalogue of weights
PART = "features."  # of the published weights; the classifier behind it is not looked at


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """Which features are compared, and how. Raises ValueError for what cannot be."""

    layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_4")
    """Of VGG-19, as conv3_3 or relu3_4. Not stated by the authors."""
    layer_weights: tuple[float, ...] = ()
    """What each layer counts for in the mean over them; empty for all alike."""
    distance: Distance = "l1"
    """l1: mean absolute difference of the features. l2: mean square."""
    normalises: bool = True
    """Whether pictures get ImageNet's mean and deviation first, as the weights expect."""
    weights: Path | None = None
    """File of VGG-19's weights, .pth of torchvision or .safetensors; None takes `vgg19-features` of
    the catalogue (defocusfix models pull vgg19-features)."""

    def __post_init__(self) -> None:
        if not self.layers or len(set(self.layers)) != len(self.layers):
            raise ValueError(f"layers must name one layer or several once each, got {self.layers}")
        for name in self.layers:
            layer_index(name)
        if self.layer_weights and len(self.layer_weights) != len(self.layers):
            raise ValueError(
                f"{len(self.layers)} layers need as many layer_weights, or none, "
                f"got {len(self.layer_weights)}"
            )
        if self.layer_weights and (min(self.layer_weights) < 0 or sum(self.layer_weights) <= 0):
            raise ValueError("layer_weights are not negative, and one of them is above 0")

    @property
    def weights_by_layer(self) -> dict[str, float]:
        """What each layer counts for."""
        weights = self.layer_weights or (1.0,) * len(self.layers)
        return dict(zip(self.layers, weights, strict=True))


class FeatureLoss:
    """Distance between the features of a picture and those of its target."""

    def __init__(
        self, network: nn.Module, weights: Mapping[str, float], distance: Distance = "l1"
    ) -> None:
        """network: frozen; makes features by name of a picture. It moves to where pictures are.

        weights: by name, what each layer counts for in the mean over them.
        """
        self._network = network.eval()
        self._shares = {name: weight / sum(weights.values()) for name, weight in weights.items()}
        self._is_squared = distance == "l2"

    def __call__(self, restored: Tensor, target: Tensor) -> Tensor:
        """The mean over the layers, a scalar; both pictures (B, 3, H, W) in [0, 1].

        Gradients reach `restored` alone. Features are computed in the precision of the training,
        their differences in float32. Raises ValueError where the shapes differ.
        """
        if restored.shape != target.shape:
            raise ValueError(f"shapes differ: {tuple(restored.shape)} and {tuple(target.shape)}")
        network = self._network.to(restored.device)
        with torch.no_grad():
            wanted = network(target)
        found = network(restored)
        return torch.stack(
            [
                share * self._distance(found[name].float(), wanted[name].float())
                for name, share in self._shares.items()
            ]
        ).sum()

    def _distance(self, found: Tensor, wanted: Tensor) -> Tensor:
        difference = found - wanted
        return (difference.square() if self._is_squared else difference.abs()).mean()


def feature_loss(settings: FeatureSettings) -> FeatureLoss:
    """The loss with published weights. Raises ModelError where they are absent or do not fit."""
    network = Vgg19Features(settings.layers, normalises=settings.normalises)
    load_vgg19(network, settings.weights or _file_of_catalogue())
    return FeatureLoss(network, settings.weights_by_layer, settings.distance)


def load_vgg19(network: Vgg19Features, file: Path) -> None:
    """Fill `network` with the `features.*` part of a file, strictly. Raises ModelError."""
    part = {name: t for name, t in _read(file).items() if name.startswith(PART)}
    try:
        network.load_state_dict(part)
    except (RuntimeError, AttributeError) as error:
        raise _unfit(file, str(error)) from error


def _file_of_catalogue() -> Path:
    entry = find_entry(ENTRY)
    store = Store(find_places())
    if not store.has(entry):
        raise ModelError(
            "the feature loss needs the weights of VGG-19, which are not here",
            why=f"looked for {store.file(entry)}",
            fix=f"{pull_command(entry)}\n"
            "or name a file: --set recipe.feature.weights=vgg19-dcbb9e9d.pth",
        )
    return store.file(entry)


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.suffix == ".safetensors":
            return load_file(os.fspath(file))
        content = torch.load(file, "cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, SafetensorError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise _unfit(file, str(error)) from error
    if not isinstance(content, dict):
        raise _unfit(file, f"it holds a {type(content).__name__}, not parameters by name")
    return {str(name): values for name, values in content.items()}


def _unfit(file: Path, why: str) -> ModelError:
    return ModelError(
        f"{file} does not hold the weights of VGG-19",
        why=why,
        fix="give torchvision's vgg19-dcbb9e9d.pth or timm's vgg19.tv_in1k, or run: "
        f"defocusfix models pull {ENTRY}",
    )
