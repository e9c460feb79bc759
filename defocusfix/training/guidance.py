"""What reblurring-guided learning lowers, for any recipe that learns from pairs of photos.

Source: arXiv 2409.17792 (IJCV 2025); docs/reblurring.md says what each part is good for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from defocusfix.networks.deblurrer import Deblurrer
from defocusfix.networks.reblur import (
    FreeKernelReblur,
    PseudoTruthConfig,
    ReblurConfig,
    ReblurModule,
    Reblurred,
    pseudo_truth,
)
from defocusfix.registration.flow import dis_flow
from defocusfix.training.deformation import (
    CpuFlow,
    FlowMethod,
    Grid,
    Interpolation,
    MaskKind,
    RaftFlow,
    SmoothFlow,
    both_ways,
    no_flow,
    warp,
)
from defocusfix.training.losses import charbonnier
from defocusfix.training.recipe import Moves, Progress, Tensors, Turn

Reblurring = ReblurModule | FreeKernelReblur


@dataclass(frozen=True, slots=True)
class DeformationConfig:
    """How output and target are laid over each other; the defaults are what we recommend."""

    flow: Literal["dis", "raft", "none"] = "dis"
    """dis: OpenCV's dense inverse search. raft: RAFT-small. none: compared as they are.
    Reference: PWC-Net."""
    raft_weights: Path | None = None
    """Weights of torchvision's raft_small (.pth), for flow = "raft"."""
    warm_up: bool = False
    """Whether in the warm-up too the target is deformed, onto the input. Onto a photo that is out
    of focus, a flow lays it worse than one alignment of the whole photo does. Reference: yes."""
    smoothing_px: float = 8.0
    """Sigma of a Gaussian over the flow, 0 for none: where a photo is out of focus, fine detail of
    a flow is mostly error. Reference: 0."""
    mask: MaskKind = "calibration"
    """Where a flow is trusted. calibration: near the mean motion, by Middlebury's colours.
    consistency: where it leads back. none: everywhere. Reference: calibration."""
    interpolation: Interpolation = "bicubic"
    """Between pixels, when warping; bilinear softens the target. Reference: bilinear."""
    grid: Grid = "centred"
    """centred: a zero flow changes nothing. reference: it stretches by up to half a pixel."""

    def __post_init__(self) -> None:
        if (self.flow == "raft") != (self.raft_weights is not None):
            raise ValueError("flow = 'raft' and raft_weights go together")
        if self.smoothing_px < 0:
            raise ValueError(f"smoothing_px is 0 or more, got {self.smoothing_px}")

    def method(self) -> FlowMethod:
        """The flow itself. Raises ModelError where RAFT's weights cannot be read."""
        if self.flow == "none":
            return no_flow
        flow: FlowMethod = CpuFlow(dis_flow)
        if self.raft_weights is not None:
            flow = RaftFlow(self.raft_weights)
        return SmoothFlow(flow, self.smoothing_px) if self.smoothing_px else flow


@dataclass(frozen=True)
class Guidance:
    """The losses and their settings; the defaults are what we recommend."""

    reblur: ReblurConfig = field(default_factory=ReblurConfig)
    """The reblurring module."""
    reblur_kernels: Literal["radial", "free"] = "radial"
    """radial: isotropic kernels of seven sizes. free: one 15 x 15 kernel of any shape, an ablation;
    no map can be taken from it, so map_weight must be 0."""
    kernels_from: Literal["output", "target"] = "target"
    """What the reblurring module learns to blur: the network's output, or the target, laid onto it.
    From the target it learns the lens whatever the network can do yet, and is not content with a
    soft output, which is easily blurred again. Reference: output."""
    pseudo_truth: PseudoTruthConfig = field(default_factory=PseudoTruthConfig)
    """What of the reblurring module teaches the network's estimate of the blur."""
    deformation: DeformationConfig = field(default_factory=DeformationConfig)
    """Flow, warp and masks."""
    to_output_weight: float = 1.0
    """Of the loss between the output and the target deformed onto it."""
    to_target_weight: float = 1.0
    """Of the loss between the target and the output deformed onto it."""
    reblur_weight: float = 0.1
    """Of the loss between the input and the output blurred again; 0 leaves it out. As long as the
    kernels are not exact, it draws the output to what they can blur. Reference: 0.5."""
    map_weight: float = 0.5
    """Of the loss between the network's estimate of the blur and the kernels, in units of the
    seeds, or in pixels where the estimate is a radius; 0 leaves it out, as it must where a network
    makes no estimate. Recommended: 0 for a focusnet-s that is trained already. Reference: 0.5."""
    reblur_rate: float = 1.0
    """Factor on the learning rate of the reblurring module."""

    def __post_init__(self) -> None:
        if self.reblur_kernels == "free" and self.map_weight:
            raise ValueError("free kernels say nothing of the blur's size: map_weight must be 0")
        if max(self.to_output_weight, self.to_target_weight) <= 0:
            raise ValueError("to_output_weight or to_target_weight must be above 0")

    @property
    def reblurs(self) -> bool:
        """Whether a loss needs the reblurring module."""
        return self.reblur_weight > 0 or self.map_weight > 0


def reblurring_module(guidance: Guidance) -> Reblurring | None:
    """A freshly initialised reblurring module, or None where no loss needs one."""
    if not guidance.reblurs:
        return None
    is_free = guidance.reblur_kernels == "free"
    return FreeKernelReblur(guidance.reblur) if is_free else ReblurModule(guidance.reblur)


def kernels_alone(guidance: Guidance, deblurrer: Deblurrer, reblur: Reblurring) -> Moves:
    """The module "reblur" learns, the network rests."""

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        sharp = batch["all_in_focus"]
        if guidance.kernels_from == "output":
            with torch.no_grad():
                sharp = deblurrer.deblur(batch["blurred"], views=batch.get("views")).restored
        return {"reblurred": reblurred_image(reblur(sharp, batch["blurred"]))}

    return Moves(forward, (reblur_turn(),))


def reblur_turn() -> Turn:
    """The reblurring module learns from what `forward` blurred again."""

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        return {"reblur": charbonnier(outputs["reblurred"], batch["blurred"])}

    return Turn(trains=("reblur",), weights={"reblur": 1.0}, terms=terms)


def guided(
    guidance: Guidance, deblurrer: Deblurrer, reblur: Reblurring | None, flow: FlowMethod
) -> Moves:
    """All losses, for the modules "deblurrer" and "reblur"; those with weight 0 are left out.

    Besides, `flow_px` and `trusted_share` are told, with weight 0.
    """
    deformation = guidance.deformation
    wanted = {
        "to_output": guidance.to_output_weight,
        "to_target": guidance.to_target_weight,
        "reblur": guidance.reblur_weight,
        "map": guidance.map_weight,
    }
    weights = {name: weight for name, weight in wanted.items() if weight > 0}
    shown = {"flow_px": 0.0, "trusted_share": 0.0}

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        restored, belief, *_ = deblurrer.deblur(batch["blurred"], views=batch.get("views"))
        ways = both_ways(flow, restored, batch["all_in_focus"], deformation.mask)
        outputs = {
            "restored": restored,
            "to_restored": ways.to_restored,
            "to_target": ways.to_target,
            "restored_mask": ways.restored_mask,
            "target_mask": ways.target_mask,
        }
        if reblur is not None:
            found = reblur(restored, batch["blurred"])
            outputs["reblurred"] = reblurred_image(found)
            if isinstance(reblur, ReblurModule) and belief is not None:
                outputs |= {"belief": belief, "truth": _truth(guidance, deblurrer, reblur, found)}
        return outputs

    def deformed(image: Tensor, by: Tensor) -> Tensor:
        return warp(image, by, deformation.interpolation, deformation.grid)

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        restored, target = outputs["restored"].float(), batch["all_in_focus"]
        found = {
            "flow_px": outputs["to_restored"].norm(dim=1).mean(),
            "trusted_share": outputs["restored_mask"].mean(),
        }
        if "to_output" in weights:
            mask = outputs["restored_mask"]
            moved = deformed(target, outputs["to_restored"])
            found["to_output"] = charbonnier(mask * restored, mask * moved)
        if "to_target" in weights:
            mask = outputs["target_mask"]
            moved = deformed(restored, outputs["to_target"])
            found["to_target"] = charbonnier(mask * target, mask * moved)
        if "reblur" in weights:
            found["reblur"] = charbonnier(outputs["reblurred"], batch["blurred"])
        if "map" in weights:
            found["map"] = charbonnier(outputs["belief"], outputs["truth"])
        return found

    def kernel_terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        assert reblur is not None
        with torch.no_grad():
            sharp = deformed(batch["all_in_focus"], outputs["to_restored"])
        found = reblur(sharp, batch["blurred"])
        return {"kernels": charbonnier(reblurred_image(found), batch["blurred"])}

    own_turn = reblur is not None and guidance.kernels_from == "target"
    trains = ("deblurrer",) if reblur is None or own_turn else ("deblurrer", "reblur")
    turns = [Turn(trains=trains, weights=weights | shown, terms=terms)]
    if own_turn:
        turns.append(Turn(trains=("reblur",), weights={"kernels": 1.0}, terms=kernel_terms))
    return Moves(forward, tuple(turns))


def reblurred_image(found: Reblurred | Tensor) -> Tensor:
    """The image of what either kind of reblurring module gives."""
    return found.image if isinstance(found, Reblurred) else found


def _truth(
    guidance: Guidance, deblurrer: Deblurrer, reblur: ReblurModule, found: Reblurred
) -> Tensor:
    """What the network's estimate of the blur should have been: seeds, or a radius in pixels."""
    if deblurrer.believes_in == "seeds":
        return pseudo_truth(found, guidance.pseudo_truth)
    radius = reblur.radius_px(found)
    return radius.detach() if guidance.pseudo_truth.is_detached else radius
