"""Networks as the recipes for pairs of photos train them: a whole photo in, a restored one out.

Some say what they believe of the blur, which reblurring-guided training compares with the kernels
of its reblurring module (arXiv 2409.17792; IJCV 2025):

- `SeededDeblurrer`: estimator, fusion and a backbone of one pass, U-Net or Restormer;
- `SeededFocusNet`: estimator and fusion around FocusNet, at each of its levels;
- `RadiusDeblurrer`: FocusNet as it is, whose belief is the radius of its map branch: the variant
  in which one number per pixel takes the place of 35 seeds.

`PlainDeblurrer` is any other network of one pass; it says nothing of the blur.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defocusfix.network_spec import USUAL_OVERLAP
from defocusfix.networks.defocus_estimator import FUSED_CHANNELS, DefocusEstimator, Fusion
from defocusfix.networks.described import described
from defocusfix.networks.focusnet import FocusNet, focusnet_s, focusnet_s2
from defocusfix.networks.pyramid import image_pyramid, nothing_known, restore_levels
from defocusfix.networks.radial_kernels import RadialKernels
from defocusfix.networks.restormer import Restormer
from defocusfix.networks.unet import UNet

ESTIMATOR_HALO = 8
SMALL_UNET_WIDTHS = (8, 16, 32, 64, 128)  # an eighth of the paper's, for a processor


class Deblurred(NamedTuple):
    """What a deblurring network makes of a photo."""

    restored: Tensor
    """(B, 3, H, W), unclamped."""
    belief: Tensor | None
    """Of the blur: seeds (B, 35, H, W), unbounded, or radius (B, 1, H, W) >= 0 in pixels; None
    from a network that believes in nothing."""
    coarser: tuple[Tensor, ...] = ()
    """What it made of the photo at half its size, at a quarter, ..., where it works so."""


class Deblurrer(Protocol):
    """How recipes talk to a network, whatever it is."""

    believes_in: ClassVar[Literal["seeds", "radius", "nothing"]]

    @property
    def levels(self) -> int:
        """Passes at halved sizes; crops are multiples of `size_multiple * 2**(levels - 1)`."""

    @property
    def size_multiple(self) -> int:
        """Sides of the input of one pass are multiples of it."""

    @property
    def halo(self) -> int:
        """Pixels around a tile that its result depends on, as far as that matters."""

    @property
    def takes_views(self) -> bool:
        """Whether it also reads what both halves of a dual-pixel sensor saw."""

    def deblur(
        self, image: Tensor, seed_factor: float = 1.0, *, views: Tensor | None = None
    ) -> Deblurred:
        """Restore `image` (B, 3, H, W) in [0, 1].

        seed_factor: on the seeds that the fusion reads, not on the belief; it fades them in while
        a pretrained backbone gets used to them. A belief in a radius is never scaled.
        views: (B, 6, H, W) in [0, 1], left then right, for networks that take them; others let
        them be.
        """


class SeededDeblurrer(nn.Module):
    """image (B, 3, H, W) -> restored (B, 3, H, W) and radius_px (B, 1, H, W), in one pass.

    is_residual: whether the backbone adds a correction to its input; it is then added to the photo
    instead of the fused image.
    At inference nothing says how much each kernel is used, so the radius takes all seven that the
    seeds stand for alike: a rough map.
    """

    believes_in: ClassVar[Literal["seeds", "radius", "nothing"]] = "seeds"
    takes_views = False
    levels = 1
    outputs = ("restored", "radius_px")

    def __init__(
        self,
        backbone: UNet | Restormer,
        estimator: DefocusEstimator,
        fusion: Fusion,
        *,
        is_residual: bool,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.estimator = estimator
        self.fusion = fusion
        self.is_residual = is_residual
        self.size_multiple = backbone.size_multiple
        self.halo = backbone.halo + ESTIMATOR_HALO
        self.tile: int = getattr(backbone, "tile", 0)
        self.overlap: int = getattr(backbone, "overlap", USUAL_OVERLAP)
        self._kernels = RadialKernels()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        seeds = self.estimator(image)  # (B, 35, H, W)
        return self._restore(image, seeds), self._kernels.radius_px(seeds)

    def deblur(
        self, image: Tensor, seed_factor: float = 1.0, *, views: Tensor | None = None
    ) -> Deblurred:
        """Restore `image`; see `Deblurrer.deblur`."""
        seeds = self.estimator(image)  # (B, 35, H, W)
        return Deblurred(self._restore(image, seed_factor * seeds), seeds)

    def load_backbone(self, weights: Mapping[str, Tensor]) -> None:
        """Start from a backbone that was trained on photos alone.

        With a fusion that keeps the image, the network then restores as that backbone does. A
        first convolution for three channels is widened to all 38: it starts blind to the seeds,
        and with doubled weights, since the fusion halves the image. Raises RuntimeError where the
        weights do not fit.
        """
        first, own = next(iter(self.backbone.state_dict().items()))
        widened = dict(weights)
        if own.shape[1] == FUSED_CHANNELS and first in weights and weights[first].shape[1] == 3:
            blind = torch.zeros_like(own[:, 3:])
            widened[first] = torch.cat([2 * weights[first].to(blind), blind], dim=1)
        self.backbone.load_state_dict(widened)

    def _restore(self, image: Tensor, seeds: Tensor) -> Tensor:
        fused = self.fusion(image, seeds)  # (B, 3 or 38, H, W)
        restored = self.backbone(fused)
        return image + (restored - fused) if self.is_residual else restored


class SeededFocusNet(nn.Module):
    """FocusNet that reads the fusion of the photo and its seeds, at each level.

    image (B, 3, H, W) and coarse (B, 4, H/2, W/2) -> restored and radius_px, as FocusNet. The map
    branch and the gate go on reading the photo itself, and the correction is added to it, so what
    is in focus still comes out exactly as it went in.
    """

    believes_in: ClassVar[Literal["seeds", "radius", "nothing"]] = "seeds"
    takes_views = False
    size_multiple = FocusNet.size_multiple
    halo = FocusNet.halo + FocusNet.size_multiple
    outputs = FocusNet.outputs

    def __init__(self, network: FocusNet, estimator: DefocusEstimator, fusion: Fusion) -> None:
        super().__init__()
        self.network = network
        self.levels = network.levels
        self.estimator = estimator
        self.fusion = fusion

    def forward(self, image: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        return self._restore(image, coarse, self.estimator(image))

    def deblur(
        self, image: Tensor, seed_factor: float = 1.0, *, views: Tensor | None = None
    ) -> Deblurred:
        """Restore `image`; see `Deblurrer.deblur`. The belief is that of the full size."""
        coarse: Tensor | None = None
        found: list[Tensor] = []
        for view in reversed(image_pyramid(image, self.levels)):
            seeds = self.estimator(view)  # (B, 35, h, w)
            below = nothing_known(view) if coarse is None else coarse
            restored, radius = self._restore(view, below, seed_factor * seeds)
            coarse = torch.cat([restored, radius], dim=1)
            found.insert(0, restored)
        return Deblurred(restored, seeds, tuple(found[1:]))

    def load_backbone(self, weights: Mapping[str, Tensor]) -> None:
        """Start from a FocusNet trained on photos alone; raises RuntimeError if they do not fit."""
        self.network.load_state_dict(weights)

    def _restore(self, image: Tensor, coarse: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        fused = self.fusion(image, seeds)  # (B, 3, H, W)
        radius = self.network.map(image, coarse[:, 3:])  # (B, 1, H/2, W/2)
        # The trunk reads the coarser level's correction, which is one of the photo.
        coarse_restored = coarse[:, :3] + F.avg_pool2d(fused - image, 2)
        restored = image + (self.network.restore(fused, coarse_restored, radius.detach()) - fused)
        wide = F.interpolate(radius, scale_factor=2.0, mode="bilinear", align_corners=False)
        return restored, wide  # (B, 3, H, W), (B, 1, H, W)


class RadiusDeblurrer:
    """A FocusNet as the recipe sees it; the weights that are trained and kept are its own.

    The radius enters FocusNet's trunk detached: only its own loss teaches the map branch.
    """

    believes_in: ClassVar[Literal["seeds", "radius", "nothing"]] = "radius"
    takes_views = False
    size_multiple = FocusNet.size_multiple
    halo = FocusNet.halo

    def __init__(self, network: FocusNet) -> None:
        self.network = network
        self.levels = network.levels

    def deblur(
        self, image: Tensor, seed_factor: float = 1.0, *, views: Tensor | None = None
    ) -> Deblurred:
        """Restore `image`; see `Deblurrer.deblur`. There are no seeds for `seed_factor`."""
        (restored, radius), *coarser = restore_levels(self.network, image, self.levels)
        return Deblurred(restored, radius, tuple(image for image, _ in coarser))


class PlainDeblurrer:
    """A network of one pass as a recipe sees it; the weights that are trained are its own.

    A network with a method `estimates(image)`, as one that restores coarse to fine and gives the
    list of what it found at each size, the full one last, is asked that instead of its forward.
    """

    believes_in: ClassVar[Literal["seeds", "radius", "nothing"]] = "nothing"
    levels = 1

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        facts = described(network, "network")
        self.size_multiple = facts.size_multiple
        self.halo = facts.halo
        self._views = facts.views
        self.takes_views = bool(facts.views)
        self._black, white = facts.value_range
        self._span = white - self._black

    def deblur(
        self, image: Tensor, seed_factor: float = 1.0, *, views: Tensor | None = None
    ) -> Deblurred:
        """Restore `image`; see `Deblurrer.deblur`. There are no seeds for `seed_factor`."""
        pictures = [image]
        if self.takes_views:
            if views is None:
                raise ValueError("this network needs the views of a dual-pixel photo")
            sides = dict(zip(("left", "right"), views.chunk(2, dim=1), strict=True))
            pictures += [sides[name] for name in self._views]
        wanted = [picture * self._span + self._black for picture in pictures]
        estimates: Callable[..., list[Tensor]] | None
        estimates = getattr(self.network, "estimates", None)
        found = [self.network(*wanted)] if estimates is None else estimates(*wanted)
        restored, *coarser = ((view - self._black) / self._span for view in reversed(found))
        return Deblurred(restored, None, tuple(coarser))


def as_deblurrer(network: nn.Module) -> Deblurrer:
    """How recipes for pairs of photos talk to `network`."""
    if isinstance(network, SeededDeblurrer | SeededFocusNet):
        return network
    if isinstance(network, FocusNet):
        return RadiusDeblurrer(network)
    return PlainDeblurrer(network)


def crop_multiple(deblurrer: Deblurrer) -> int:
    """What the sides of a whole photo must be a multiple of."""
    return deblurrer.size_multiple * 2 ** (deblurrer.levels - 1)


def seeded_unet() -> SeededDeblurrer:
    """U-Net of the paper; all 38 channels enter its first convolution."""
    backbone = UNet(inputs=FUSED_CHANNELS)
    return SeededDeblurrer(backbone, DefocusEstimator(), Fusion(mixes=False), is_residual=False)


def seeded_unet_small() -> SeededDeblurrer:
    """The same, eight times narrower and with an estimator of half the width: to try things."""
    backbone = UNet(inputs=FUSED_CHANNELS, widths=SMALL_UNET_WIDTHS)
    estimator = DefocusEstimator(width=16)
    return SeededDeblurrer(backbone, estimator, Fusion(mixes=False), is_residual=False)


def seeded_restormer() -> SeededDeblurrer:
    """Restormer of the paper; the fused image takes the photo's place at its input."""
    return SeededDeblurrer(Restormer(), DefocusEstimator(), Fusion(), is_residual=True)


def seeded_focusnet_s() -> SeededFocusNet:
    """FocusNet of the weights up to 0.6.0, with seeds."""
    return SeededFocusNet(focusnet_s(), DefocusEstimator(), Fusion())


def seeded_focusnet_s2() -> SeededFocusNet:
    """FocusNet of the bundled weights' size, with seeds."""
    return SeededFocusNet(focusnet_s2(), DefocusEstimator(), Fusion())
