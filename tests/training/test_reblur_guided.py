"""The reblurring-guided recipe: stages, terms, and who learns from what."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from defocusfix.errors import InputError, ModelError, UsageError
from defocusfix.network_spec import USUAL_OVERLAP
from defocusfix.networks import deblurrer
from defocusfix.networks.build import build_network
from defocusfix.networks.raft import RaftSmall
from defocusfix.networks.reblur import PseudoTruthConfig, ReblurConfig
from defocusfix.networks.restormer import Restormer
from defocusfix.pairs.crops import PairSettings
from defocusfix.training.config import read_config, read_preset, resolve_config
from defocusfix.training.guidance import DeformationConfig
from defocusfix.training.recipe import Progress
from defocusfix.training.recipes.reblur_guided_config import Config
from defocusfix.training.recipes.reblur_guided_stages import seed_factor
from defocusfix.training.weights import write_weights
from tests.training.misaligned import write_pairs
from tests.training.reblur_steps import built, stage_of, step_of


def test_each_stage_lowers_its_terms_and_moves_its_modules(config):
    recipe = built(config)
    assert [stage.name for stage in recipe.stages] == ["reblur", "warm_up", "full"]
    assert [stage.steps for stage in recipe.stages] == [2, 2, 2]
    terms, moved = step_of(recipe, "reblur")
    assert (terms.keys(), moved) == ({"reblur"}, {"reblur"})
    terms, moved = step_of(recipe, "warm_up")
    assert (terms.keys(), moved) == ({"to_input"}, {"deblurrer"})
    terms, moved = step_of(recipe, "full")
    logged = {"to_output", "to_target", "reblur", "map", "flow_px", "trusted_share"}
    assert (terms.keys(), moved) == (logged, {"deblurrer", "reblur"})
    assert all(map(math.isfinite, terms.values()))
    assert 0 < terms["trusted_share"] <= 1


def test_the_full_loss_is_weighted_as_in_the_paper(config):
    (turn,) = stage_of(built(config), "full").turns
    lowered = {name: weight for name, weight in turn.weights.items() if weight}
    assert lowered == {"to_output": 1.0, "to_target": 1.0, "reblur": 0.5, "map": 0.5}


def test_the_seeds_fade_in_over_fifteen_epochs():
    factors = [seed_factor(Progress("warm_up", epoch, 15)) for epoch in range(15)]
    assert factors[0] == pytest.approx(0.0676, abs=1e-4)
    assert factors[14] == 1.0
    assert np.diff(factors) == pytest.approx(np.full(14, 0.999 / 15))
    steps = [seed_factor(Progress("warm_up", step, 30)) for step in range(30)]
    assert steps[::2] == steps[1::2] == pytest.approx(factors)


def test_the_papers_learning_rate_is_halved_every_seventy_epochs_of_the_run(config):
    paper = replace(
        config, reblur_epochs=0, warm_up_epochs=15, full_epochs=185, decay="halving",
        learning_rate=1e-5, samples_per_epoch=2, batch_size=2,
    )  # fmt: skip
    recipe = built(paper)
    assert [stage.steps for stage in recipe.stages] == [15, 185]
    rates = [
        stage.learning_rate(Progress(stage.name, step, stage.steps))
        for stage in recipe.stages
        for step in range(stage.steps)
    ]
    assert rates == [1e-5] * 70 + [0.5e-5] * 70 + [0.25e-5] * 60


def test_our_learning_rate_falls_once_over_all_stages(config):
    recipe = built(replace(config, samples_per_epoch=200))
    rates = [
        stage.learning_rate(Progress(stage.name, step, stage.steps))
        for stage in recipe.stages
        for step in range(stage.steps)
    ]
    top = int(np.argmax(rates))
    assert top < 10
    assert np.all(np.diff(rates[top:]) <= 1e-12)
    assert rates[-1] < 0.03 * rates[top]


def test_in_the_warm_up_the_target_can_be_aligned_to_the_input_ahead_of_the_step(config):
    still = stage_of(built(config), "warm_up").batch(0, 0, 1)
    assert torch.equal(still["aligned"], still["all_in_focus"])
    deforming = replace(config, deformation=DeformationConfig(warm_up=True))
    batch = stage_of(built(deforming), "warm_up").batch(0, 0, 1)
    inner = (..., slice(12, -12), slice(12, -12))
    before, after = (
        (batch[name] - batch["blurred"])[inner].abs().mean() for name in ("all_in_focus", "aligned")
    )
    assert after < 0.8 * before


def test_with_raft_the_target_is_aligned_in_the_step(config, tmp_path):
    torch.manual_seed(0)
    torch.save(RaftSmall().state_dict(), tmp_path / "raft.pth")
    deformation = DeformationConfig(flow="raft", raft_weights=tmp_path / "raft.pth", warm_up=True)
    recipe = built(replace(config, deformation=deformation))
    assert "aligned" not in stage_of(recipe, "warm_up").batch(0, 0, 1)
    for name in ("warm_up", "full"):
        assert all(map(math.isfinite, step_of(recipe, name)[0].values()))


def test_batches_depend_on_the_step_only(config):
    first, again = built(config), built(config)
    for name in ("reblur", "warm_up", "full"):
        one, other = (stage_of(recipe, name).batch(3, 0, 1) for recipe in (first, again))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def loss_of_map(config: Config, **pseudo_truth):
    recipe = built(replace(config, pseudo_truth=PseudoTruthConfig(**pseudo_truth)))
    stage = stage_of(recipe, "full")
    batch, progress = stage.batch(0, 0, 1), Progress("full", 0, 2)
    terms = stage.turns[0].terms(stage.forward(batch, progress), batch, progress)
    terms["map"].backward()
    return recipe, terms


def reached(module: torch.nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


def test_the_maps_loss_teaches_estimator_and_kernels_unless_it_is_detached(config):
    recipe, _ = loss_of_map(config)
    assert reached(recipe.modules["deblurrer"].estimator)
    assert reached(recipe.modules["reblur"].kernel_prediction)
    recipe, _ = loss_of_map(config, is_detached=True)
    assert reached(recipe.modules["deblurrer"].estimator)
    assert not reached(recipe.modules["reblur"])


def test_weighted_seeds_teach_the_weights_of_the_branches_too(config):
    plain, terms = loss_of_map(config)
    weighted, other = loss_of_map(config, target="weighted_seeds", is_absolute=True)
    assert not reached(plain.modules["reblur"].weight_prediction)
    assert reached(weighted.modules["reblur"].weight_prediction)
    assert terms["map"] != other["map"]


def test_the_reblurring_loss_reaches_the_deblurrer_and_flows_do_not(config):
    recipe = built(config)
    stage = stage_of(recipe, "full")
    batch, progress = stage.batch(0, 0, 1), Progress("full", 0, 2)
    outputs = stage.forward(batch, progress)
    unmoved = ("to_restored", "to_target", "restored_mask", "target_mask")
    assert not any(outputs[name].requires_grad for name in unmoved)
    stage.turns[0].terms(outputs, batch, progress)["reblur"].backward()
    assert reached(recipe.modules["deblurrer"].backbone)
    assert reached(recipe.modules["reblur"])


def test_flow_takes_misalignment_out_of_the_loss(config):
    def terms(flow: str) -> dict[str, float]:
        recipe = built(replace(config, deformation=DeformationConfig(flow=flow, mask="none")))
        stage = stage_of(recipe, "full")
        batch = stage.batch(0, 0, 1)
        # As if the deblurrer had already learnt its task and left everything in its place.
        outputs = stage.forward(batch, Progress("full", 0, 2))
        restored = torch.roll(batch["all_in_focus"], (3, -4), (2, 3))
        recipe.modules["deblurrer"].deblur = lambda image, views=None: (restored, outputs["belief"])
        outputs = stage.forward(batch, Progress("full", 0, 2))
        found = stage.turns[0].terms(outputs, batch, Progress("full", 0, 2))
        return {name: float(value.detach()) for name, value in found.items()}

    still, moved = terms("none"), terms("dis")
    assert still["flow_px"] == 0
    assert moved["flow_px"] == pytest.approx(5, abs=1.5)
    assert moved["to_output"] < 0.6 * still["to_output"]
    assert moved["to_target"] < 0.6 * still["to_target"]


def test_plain_l1_is_what_is_left_without_flow_reblurring_and_map(config):
    deformation = DeformationConfig(flow="none", mask="none")
    recipe = built(
        replace(config, deformation=deformation, reblur_weight=0, map_weight=0, reblur_epochs=0,
                to_target_weight=0)
    )  # fmt: skip
    assert recipe.modules.keys() == {"deblurrer"}
    stage = stage_of(recipe, "full")
    batch = stage.batch(0, 0, 1)
    outputs = stage.forward(batch, Progress("full", 0, 2))
    terms = stage.turns[0].terms(outputs, batch, Progress("full", 0, 2))
    difference = outputs["restored"] - batch["all_in_focus"]
    expected = (difference.square() + 1e-6).sqrt().mean()
    torch.testing.assert_close(terms["to_output"], expected)
    assert "to_target" not in terms


@pytest.mark.parametrize("network", ["focusnet-s", "seeded-focusnet-s"])
def test_focusnet_learns_with_its_own_radius_or_with_seeds(config, network):
    recipe = built(replace(config, network=network))
    terms, moved = step_of(recipe, "full")
    assert moved == {"deblurrer", "reblur"}
    assert all(map(math.isfinite, terms.values()))
    assert recipe.spec.levels == 3


def test_restormers_weights_say_what_tiles_suit_it(config, monkeypatch):
    sizes = {"width": 8, "blocks": (1, 1, 1, 1), "refinement": 1, "heads": (1, 2, 2, 4)}
    monkeypatch.setattr(deblurrer, "Restormer", lambda: Restormer(**sizes))
    spec = built(replace(config, network="seeded-restormer")).spec
    assert (spec.tile, spec.overlap) == (Restormer.tile, Restormer.overlap)
    usual = built(config).spec
    assert (usual.tile, usual.overlap) == (0, USUAL_OVERLAP)


def test_free_kernels_blur_again_without_a_map(config):
    recipe = built(replace(config, reblur_kernels="free", map_weight=0))
    terms, moved = step_of(recipe, "full")
    assert "map" not in terms
    assert moved == {"deblurrer", "reblur"}


def test_the_fusion_can_be_warmed_up_alone(config):
    recipe = built(replace(config, warm_up_trains="fusion", network="seeded-focusnet-s"))
    backbone = recipe.modules["deblurrer"].network
    before = [p.detach().clone() for p in backbone.parameters()]
    _, moved = step_of(recipe, "warm_up")
    assert "fusion" in moved  # the estimator follows once the fusion no longer ignores it
    assert all(torch.equal(a, b) for a, b in zip(before, backbone.parameters(), strict=True))
    with pytest.raises(UsageError, match="no fusion"):
        built(replace(config, warm_up_trains="fusion", network="focusnet-s"))


def test_it_goes_on_from_weights_of_the_network_or_of_its_backbone(config, tmp_path):
    spec = built(replace(config, network="focusnet-s")).spec
    weights = build_network("focusnet-s").state_dict()
    write_weights(tmp_path / "base.safetensors", weights, spec)
    own = built(replace(config, network="focusnet-s", start_from=tmp_path / "base.safetensors"))
    around = built(
        replace(config, network="seeded-focusnet-s", start_from=tmp_path / "base.safetensors")
    )
    for network in (own.modules["deblurrer"], around.modules["deblurrer"].network):
        assert all(torch.equal(network.state_dict()[name], weights[name]) for name in weights)
    with pytest.raises(ModelError, match="do not fit seeded-unet-small"):
        built(replace(config, start_from=tmp_path / "base.safetensors"))


def test_held_out_pairs_are_looked_at_and_not_learnt_from(config):
    recipe = built(replace(config, held_out=("01",), samples_per_epoch=0, full_epochs=1))
    assert stage_of(recipe, "full").steps == 1  # two pairs are left, two samples a step
    with torch.no_grad():
        found = recipe.validate(recipe.modules["deblurrer"].eval())
    assert {"psnr_raw", "gain_raw"} <= found.metrics.keys()
    assert found.score == found.metrics.get("gain_tiled", found.metrics["gain_raw"])
    assert found.pictures.keys() == {"pair_00"}
    with pytest.raises(UsageError, match="no pair is called 99"):
        built(replace(config, held_out=("99",)))


def test_known_data_sets_bring_their_own_validation(config, tmp_path):
    for part in ("train_c", "val_c"):
        write_pairs(tmp_path / part, 1)
        (tmp_path / part / "blurry").rename(tmp_path / part / "source")
        (tmp_path / part / "sharp").rename(tmp_path / part / "target")
    recipe = built(replace(config, blurry=None, sharp=None, data_set=tmp_path, layout="dpdd"))
    assert recipe.validate is not None
    with pytest.raises(InputError, match="train_patches"):
        built(replace(config, blurry=None, sharp=None, data_set=tmp_path, layout="sdd"))


def test_the_presets_are_read_and_the_papers_says_what_the_reference_does(pairs):
    data = [f"recipe.blurry={pairs[0]}", f"recipe.sharp={pairs[1]}"]
    paper = resolve_config("reblur-guided", read_preset("reblur-guided", "paper"), data).recipe
    assert (paper.learning_rate, paper.batch_size, paper.clip) == (1e-5, 1, math.inf)
    assert (paper.warm_up_epochs, paper.total_epochs, paper.halve_every) == (15, 200, 70)
    assert (paper.data.alignment, paper.data.halves_range, paper.data.augments) == (
        "none",
        True,
        False,
    )
    assert (paper.deformation.grid, paper.reblur.padding) == ("reference", "zeros")
    assert (paper.deformation.smoothing_px, paper.deformation.warm_up) == (0, True)
    assert (paper.kernels_from, paper.reblur_weight, paper.map_weight) == ("output", 0.5, 0.5)
    ours = resolve_config("reblur-guided", read_preset("reblur-guided", "recommended"), data)
    assert ours.recipe.deformation == DeformationConfig()
    assert ours.recipe.reblur == ReblurConfig()
    assert ours.recipe.pseudo_truth == PseudoTruthConfig()
    assert ours.recipe.data == PairSettings(alignment="affine")


def test_a_configuration_survives_being_written(pairs, tmp_path):
    run = resolve_config(
        "reblur-guided", {}, [f"recipe.blurry={pairs[0]}", f"recipe.sharp={pairs[1]}",
                              "recipe.clip=inf", "recipe.data.scale=2"]
    )  # fmt: skip
    (tmp_path / "config.toml").write_text(run.to_toml())
    again = resolve_config("reblur-guided", read_config(tmp_path / "config.toml"), [])
    assert again == run


def test_a_flow_is_smoothed_by_a_length_of_at_least_0():
    with pytest.raises(ValueError, match="smoothing_px"):
        DeformationConfig(smoothing_px=-1)


def test_settings_that_contradict_each_other_are_refused(config):
    for change, reason in (
        ({"blurry": None}, "go together"),
        ({"data_set": config.blurry}, "either blurry and sharp"),
        ({"reblur_kernels": "free"}, "map_weight must be 0"),
        ({"reblur_weight": 0, "map_weight": 0}, "reblur_epochs"),
        ({"to_output_weight": 0, "to_target_weight": 0}, "above 0"),
        ({"reblur_epochs": 0, "warm_up_epochs": 0, "full_epochs": 0}, "0 epochs"),
        ({"network": "seeded"}, "network is one of"),
    ):
        with pytest.raises(ValueError, match=reason):
            replace(config, **change)
    with pytest.raises(ValueError, match="go together"):
        DeformationConfig(flow="raft")
    with pytest.raises(UsageError, match="seeded-unet"):
        built(replace(config, network="unet"))
    with pytest.raises(UsageError, match="multiples of 64"):
        built(replace(config, network="focusnet-s", data=PairSettings(crop_px=96)))
