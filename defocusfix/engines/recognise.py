"""Weights of others, recognised by the names and shapes of their tensors.

Names and shapes tell the network, not what it was trained for: Restormer for motion blur has those
of Restormer for defocus. Some networks are recognised only to say that they cannot be run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from defocusfix.errors import ModelError

Shapes = Mapping[str, tuple[int, ...]]
WRAPPERS = ("module.", "Network.")  # what data-parallel training and IFAN put before every name


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network and how its weights are told from others."""

    id: str
    title: str
    tensors: Mapping[str, tuple[int | None, ...]]
    """Some of its tensors, with shapes in which None is any length."""
    obstacle: str = ""
    """Why its weights cannot be run; empty if they can."""


_NOT_YET = "this network is not a part of defocusfix yet"
# The first that fits is taken, so variants stand before what they are variants of.
ARCHITECTURES = (
    Architecture(
        "restormer-dual-pixel",
        "Restormer for dual-pixel photos",
        {
            "patch_embed.proj.weight": (None, 6, 3, 3),
            "encoder_level1.0.attn.temperature": (None, 1, 1),
        },
        _NOT_YET,
    ),
    Architecture(
        "restormer",
        "Restormer",
        {
            "patch_embed.proj.weight": (48, 3, 3, 3),
            "encoder_level1.0.norm1.body.bias": (48,),
            "encoder_level1.0.attn.temperature": (1, 1, 1),
            "latent.7.attn.qkv.weight": (1152, 384, 1, 1),
            "refinement.3.ffn.project_in.weight": (510, 96, 1, 1),
            "output.weight": (3, 96, 3, 3),
        },
    ),
    Architecture(
        "restormer-variant",
        "a variant of Restormer",
        {
            "encoder_level1.0.attn.temperature": (None, 1, 1),
            "latent.0.attn.qkv_dwconv.weight": (None, 1, 3, 3),
        },
        "its shapes are not those of Restormer for colour photos out of focus",
    ),
    Architecture(
        "focusnet-s2",
        "FocusNet",
        {
            "map.head.weight": (32, 50, 3, 3),
            "head.weight": (32, 25, 3, 3),
            "body.middle.1.expand.weight": (48, 256, 3, 3),
            "body.decoders.2.1.project.weight": (128, 128, 3, 3),
        },
    ),
    Architecture(
        "focusnet-s",
        "FocusNet up to version 0.6.0 of the bundled weights",
        {
            "map.head.weight": (32, 50, 3, 3),
            "map.tail.weight": (4, 32, 3, 3),
            "head.weight": (32, 25, 3, 3),
            "tail.weight": (12, 32, 3, 3),
        },
    ),
    Architecture(
        "defocusgan",
        "DefocusGAN",
        {
            "tail_hard.0.weight": (3, 64, 3, 3),
            "layer1.0.0.weight": (64, 64, 1, 1),
            "layer8.3.0.body.3.weight": (64, 64, 3, 3),
            "unetup2.conv.double_conv.0.weight": (64, 128, 3, 3),
        },
    ),
    Architecture(
        "drbnet-dual-pixel",
        "DRBNet for dual-pixel photos",
        {"conv1_1.0.weight": (32, 6, 3, 3), "upconv0_kernel.2.weight": (49, 64, 1, 1)},
    ),
    Architecture(
        "drbnet",
        "DRBNet",
        {"conv1_1.0.weight": (32, 3, 3, 3), "upconv0_kernel.2.weight": (49, 64, 1, 1)},
    ),
    Architecture(
        "ifan",
        "IFAN",
        {"kconv1_1.0.weight": (None, None, 3, 3), "conv_DME.0.weight": (None, 1, 3, 3)},
        _NOT_YET,
    ),
    Architecture("nrknet", "NRKNet", {"GCM.kernels": (None, 1, 1, 3)}, _NOT_YET),
    Architecture(
        "nafnet",
        "NAFNet",
        {
            "intro.weight": (None, None, 3, 3),
            "middle_blks.0.beta": (1, None, 1, 1),
            "ending.weight": (None, None, 3, 3),
        },
        _NOT_YET,
    ),
    Architecture(
        "mirnetv2",
        "MIRNetv2",
        {
            "conv_in.weight": (None, None, 3, 3),
            "body.0.body.0.dau_top.body.0.weight": (None, None, 3, 3),
        },
        _NOT_YET,
    ),
)


def recognise(shapes: Shapes) -> Architecture | None:
    """The network to which tensors of these names and shapes belong; None if it is unknown."""
    bare = {_without_wrapper(name): shape for name, shape in shapes.items()}
    return next((known for known in ARCHITECTURES if _has(bare, known.tensors)), None)


def detect_architecture(shapes: Shapes) -> str | None:
    """The id of the network to which tensors of these names and shapes belong.

    One that defocusfix builds has its name there; None if it is unknown.
    """
    known = recognise(shapes)
    return None if known is None else known.id


def runnable_architecture(shapes: Shapes, file_name: str) -> str:
    """As `detect_architecture`, of weights that are to be run.

    Raises ModelError if the network is unknown, or known and cannot be run.
    """
    known = recognise(shapes)
    if known is None:
        some = ", ".join(list(shapes)[:3]) or "no tensors"
        raise ModelError(
            f"{file_name} holds the weights of an unknown network",
            why=f"it has {len(shapes)} tensors: {some}, ...",
            fix="give the network as an ONNX file, or what is known: defocusfix models list",
        )
    if known.obstacle:
        raise ModelError(
            f"{file_name} holds weights of {known.title}, which cannot be run",
            why=known.obstacle,
            fix="defocusfix models list shows what can",
        )
    return known.id


def _without_wrapper(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _has(shapes: Shapes, tensors: Mapping[str, tuple[int | None, ...]]) -> bool:
    return all(name in shapes and _fits(shapes[name], wanted) for name, wanted in tensors.items())


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        side in (None, found) for found, side in zip(shape, wanted, strict=True)
    )
