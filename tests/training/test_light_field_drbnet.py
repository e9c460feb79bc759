"""DRBNet in its own two steps: several sizes, [-1, 1], and the views of dual-pixel photos."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from defocusfix.errors import InputError, UsageError
from defocusfix.networks import build as networks
from defocusfix.networks.deblurrer import as_deblurrer
from defocusfix.networks.drbnet import DRBNet, DualPixelDRBNet
from defocusfix.pairs.crops import PairSettings
from defocusfix.training.pair_data import PairChoice
from defocusfix.training.recipes.light_field import Config, build
from defocusfix.training.rendered_data import RenderedChoice
from defocusfix.training.trainer import Outcome
from tests.evaluation.scenes import blurred, texture
from tests.training.reblur_steps import step_of
from tests.training.runs import losses, play, trainer

PLAIN = PairSettings(crop_px=32, alignment="none", matches_exposure=False)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setitem(networks.BUILDERS, "drbnet", partial(DRBNet, width=4))
    monkeypatch.setitem(networks.BUILDERS, "drbnet-dual-pixel", partial(DualPixelDRBNet, width=4))


@pytest.fixture(scope="module")
def dpdd(tmp_path_factory) -> Path:
    """Photos of 48 x 64 px with views, to learn from and to look at, in DPDD's folders."""
    root = tmp_path_factory.mktemp("dpdd")
    for part, seeds in (("train", (0, 1)), ("val", (2,))):
        for seed in seeds:
            sharp = texture(48, 64, seed)
            soft = blurred(sharp, 1.5)
            pictures = {
                "c/source": soft, "c/target": sharp,
                "l/source": np.roll(soft, -1, 1), "r/source": np.roll(soft, 1, 1),
            }  # fmt: skip
            for folder, picture in pictures.items():
                path = root / f"{part}_{folder}" / f"{seed}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), np.rint(picture[..., ::-1] * 255).astype(np.uint8))
    return root


@pytest.fixture
def config(dpdd) -> Config:
    """Two steps per stage, both on the same photos."""
    choice = PairChoice(data_set=dpdd, layout="dpdd", data=PLAIN)
    return Config(
        light_field=choice,
        real=choice,
        network="drbnet-dual-pixel",
        light_field_steps=2,
        light_field_batch_size=2,
        scale_weights=(1, 0.5, 0.25, 0.125),
        real_steps=2,
        real_batch_size=2,
        real_loss="pixel",
    )


def made(config: Config):
    torch.manual_seed(0)
    return build(config)


@pytest.mark.parametrize("name", ["drbnet", "drbnet-dual-pixel"])
def test_all_four_sizes_are_compared_with_targets_of_their_size(config, name):
    terms, moved = step_of(made(replace(config, network=name)), "light_field")
    assert terms.keys() == {"pixel", "pixel_2", "pixel_4", "pixel_8"}
    assert moved == {"deblurrer"}


def test_the_network_is_handed_both_views_in_its_own_order_and_range():
    class Listening(DualPixelDRBNet):
        def estimates(self, image, right, left):
            self.heard = (image, right, left)
            return super().estimates(image, right, left)

    network = Listening(width=4)
    photo, left, right = torch.rand(3, 1, 3, 16, 16)
    deblurrer = as_deblurrer(network)
    assert deblurrer.takes_views
    deblurrer.deblur(photo, views=torch.cat([left, right], dim=1))
    for heard, meant in zip(network.heard, (photo, right, left), strict=True):
        torch.testing.assert_close(heard, 2 * meant - 1)
    with pytest.raises(ValueError, match="needs the views"):
        deblurrer.deblur(photo)


@pytest.mark.parametrize("loss", ["pixel", "reblur"])
def test_a_whole_run_learns_from_views_and_looks_at_others(config, tmp_path, loss):
    run = trainer(tmp_path / "run", partial(build, replace(config, real_loss=loss)))
    assert play(run) == Outcome("finished", 4)
    assert [row["stage"] for row in losses(tmp_path / "run")] == ["light_field"] * 2 + ["real"] * 2
    assert {"psnr_raw", "gain_raw"} <= run.folder.validations()[-1].keys()


def test_pairs_without_views_are_refused(config, dpdd):
    folders = PairChoice(blurry=dpdd / "train_c/source", sharp=dpdd / "train_c/target", data=PLAIN)
    with pytest.raises(InputError, match="2 of 2 photos have no dual-pixel views"):
        build(replace(config, real=folders))
    rendered = replace(config, light_field=PairChoice(), rendered=RenderedChoice(renders_live=True))
    with pytest.raises(UsageError, match="rendered pairs have none"):
        build(rendered)
