from __future__ import annotations

import pytest

from defocusfix.bundled import bundled_models_folder
from defocusfix.engines.model_file import safetensors_shapes
from defocusfix.engines.recognise import (
    ARCHITECTURES,
    detect_architecture,
    runnable_architecture,
)
from defocusfix.errors import ModelError
from tests.networks import published_defocusgan, published_drbnet
from tests.networks.published_restormer import published_shapes


def an_example(architecture) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(5 if side is None else side for side in shape)
        for name, shape in architecture.tensors.items()
    }


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda known: known.id)
@pytest.mark.parametrize("wrapper", ["", "module.", "module.Network."])
def test_every_network_is_told_from_the_others(architecture, wrapper):
    shapes = {wrapper + name: shape for name, shape in an_example(architecture).items()}
    assert detect_architecture({**shapes, "more": (1,)}) == architecture.id


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda known: known.id)
def test_what_cannot_be_run_is_named_and_refused(architecture):
    shapes = an_example(architecture)
    if not architecture.obstacle:
        assert runnable_architecture(shapes, "w.pth") == architecture.id
        return
    with pytest.raises(ModelError, match=architecture.title) as refusal:
        runnable_architecture(shapes, "w.pth")
    assert refusal.value.why == architecture.obstacle
    assert refusal.value.exit_code == 5


def test_the_published_networks_and_the_bundled_weights_are_recognised():
    assert detect_architecture(published_shapes()) == "restormer"
    assert detect_architecture(published_defocusgan.published_shapes()) == "defocusgan"
    bundled = safetensors_shapes(bundled_models_folder() / "focusnet-s" / "model.safetensors")
    assert detect_architecture(bundled) == "focusnet-s2"


def test_restormer_for_two_views_is_no_restormer_for_one():
    shapes = published_shapes() | {
        "patch_embed.proj.weight": (48, 6, 3, 3),
        "skip_conv.weight": (96, 48, 1, 1),
    }
    assert detect_architecture(shapes) == "restormer-dual-pixel"
    with pytest.raises(ModelError, match="dual-pixel") as refusal:
        runnable_architecture(shapes, "dual_pixel.pth")
    assert "not a part of defocusfix yet" in refusal.value.why


@pytest.mark.parametrize("wrapper", ["", "module."])
def test_the_published_drbnets_are_recognised_and_told_apart(wrapper):
    for dual_pixel, name in ((False, "drbnet"), (True, "drbnet-dual-pixel")):
        published = published_drbnet.published_shapes(dual_pixel=dual_pixel)
        shapes = {wrapper + tensor: shape for tensor, shape in published.items()}
        assert runnable_architecture(shapes, "w.pth") == name


@pytest.mark.parametrize(
    "change",
    [
        {"patch_embed.proj.weight": (48, 1, 3, 3)},  # gray
        {"encoder_level1.0.norm1.body.bias": None},  # norms without bias, as for noise
        {"refinement.3.ffn.project_in.weight": (384, 96, 1, 1)},
    ],
    ids=["gray", "no bias", "narrower"],
)
def test_variants_of_restormer_are_told_apart(change):
    shapes = {**published_shapes(), **change}
    shapes = {name: shape for name, shape in shapes.items() if shape is not None}
    assert detect_architecture(shapes) == "restormer-variant"


@pytest.mark.parametrize("shapes", [{}, {"weight": (3, 3)}, {"head.weight": (1,)}])
def test_what_is_unknown_is_said_to_be(shapes):
    assert detect_architecture(shapes) is None
    with pytest.raises(ModelError, match="unknown network") as refusal:
        runnable_architecture(shapes, "mine.safetensors")
    assert f"{len(shapes)} tensors" in refusal.value.why
