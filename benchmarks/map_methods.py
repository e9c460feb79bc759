"""Ways to come by a defocus map, each with the same number of training steps and crops."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from map_scenes import RadiusCrops
from misaligned_pairs import BASE, restorer
from stopping import stop_if_told
from torch import Tensor, nn

from defocusfix.networks.blur_map import BlurMap, as_views
from defocusfix.networks.build import build_network
from defocusfix.networks.reblur import ReblurConfig, ReblurModule
from defocusfix.pairs.crops import PairSettings
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.registration.warp import FloatImage
from defocusfix.training.config import TrainerConfig
from defocusfix.training.console import RunConsole
from defocusfix.training.data import CropSource
from defocusfix.training.losses import charbonnier
from defocusfix.training.recipe import Progress, Recipe, Stage, Tensors, Turn
from defocusfix.training.recipes.learnable_kernel import build
from defocusfix.training.recipes.learnable_kernel_config import Config
from defocusfix.training.run_folder import RunFolder
from defocusfix.training.schedule import cosine
from defocusfix.training.trainer import Trainer
from defocusfix.training.weights import read_weights, write_weights

CROP_PX, BATCH_SIZE, STEPS = 64, 8, 750
RATE = 1e-3
EPOCHS = 30  # as the paper has; here of STEPS / 30 steps
FIXED_KERNELS: Mapping[str, object] = {"epochs": (float(EPOCHS), 0.0, 0.0, 0.0, 0.0)}
MORE_OF_KERNELS: Mapping[str, object] = {
    "epochs": (10.0, 10.0, 5.0, 5.0, 0.0),
    "kernel_rate": 0.3,
}
AS_PUBLISHED: Mapping[str, object] = {
    "sides": "both",
    "is_normalised": False,
    "padding": "zeros",
    "starts_in_focus": False,
}

Mapper = Callable[[Mapping[str, FloatImage]], FloatImage]
"""Photos of one scene, by the names of their folders, to the signed radius (H, W) in pixels."""


@dataclass(frozen=True, slots=True)
class Method:
    """How a map is come by."""

    kind: str
    """reblurring, supervised, pseudo (of a reblurring module), bundled, or told: no map, but
    kernels that learn from the true one."""
    lens: str = "round"
    takes_views: bool = False
    settings: Mapping[str, object] | None = None
    """Of the recipe, where they differ from what is recommended."""
    turns_crops: bool = True
    """Whether crops of one photo are turned by quarter turns and mirrored, and their colours and
    brightness varied. Kernels then become the average of a lens over the turns."""

    @property
    def reads_one_photo(self) -> bool:
        """Whether the blurred photo is all it needs for a map."""
        return self.kind not in ("pseudo", "told") and not self.takes_views


METHODS: Mapping[str, Method] = {
    "reblurring, one photo": Method("reblurring"),
    "supervised, one photo": Method("supervised"),
    "pseudo map of a reblurring module": Method("pseudo"),
    "focusnet-s, bundled": Method("bundled"),
    "reblurring, hexagon, crops turned": Method(
        "reblurring", lens="hexagon", settings=MORE_OF_KERNELS
    ),
    "reblurring, two views, as published": Method(
        "reblurring", takes_views=True, settings=AS_PUBLISHED
    ),
    "reblurring, hexagon": Method(
        "reblurring", lens="hexagon", settings=MORE_OF_KERNELS, turns_crops=False
    ),
    "reblurring, donut": Method("reblurring", lens="donut", settings=MORE_OF_KERNELS),
    "kernels told the radius, hexagon": Method("told", lens="hexagon"),
    "kernels told the radius, donut": Method("told", lens="donut"),
    "reblurring, one photo, kernels fixed": Method("reblurring", settings=FIXED_KERNELS),
    "supervised, two views": Method("supervised", takes_views=True),
    "reblurring, one photo, as published": Method("reblurring", settings=AS_PUBLISHED),
}


def mapper_of(method: Method, scenes: Path, weights: Path) -> tuple[Mapper, nn.Module]:
    """A trained method and its network, whose weights are also written."""
    if method.kind == "bundled":
        bundled = build_network("focusnet-s").eval()
        bundled.load_state_dict(read_weights(BASE)[0])
        return _by_restoring(bundled), bundled
    recipe = build(config(method, scenes))
    if method.kind == "supervised":
        recipe = _supervised(recipe, scenes, takes_views=method.takes_views)
    elif method.kind == "told":
        recipe = _told(recipe, scenes)
    elif method.kind == "pseudo":
        recipe = _reblurring_module(recipe, scenes)
    network = trained(recipe, weights)
    if isinstance(network, ReblurModule):
        return _by_sharp_photo(network), network
    assert isinstance(network, BlurMap)
    return _by_estimator(network, is_taught=method.kind == "supervised"), network


def config(method: Method, scenes: Path) -> Config:
    """The recipe's settings."""
    names = ("blurry", "sharp", "left", "right") if method.takes_views else ("blurry", "sharp")
    data: dict[str, Any] = {name: scenes / name for name in names}
    if method.turns_crops and not method.takes_views:
        data = {"crops": (scenes / "set",)}
    settings: dict[str, Any] = {"learning_rate": RATE, **(method.settings or {})}
    return Config(
        **data,
        **settings,
        data=PairSettings(
            crop_px=CROP_PX,
            alignment="none",
            matches_exposure=False,
            augments=method.turns_crops,
        ),
        network="blur-map-small",
        samples_per_epoch=BATCH_SIZE * STEPS // EPOCHS,
        batch_size=BATCH_SIZE,
        smooth_after_steps=STEPS // 18,  # the paper: 3000 of 52500
    )


def trained(recipe: Recipe, weights: Path) -> nn.Module:
    """The averaged module after its training, in eval mode. Its metrics and weights are kept."""
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        kept = RunFolder(Path(folder))
        kept.begin("")
        trainer = Trainer(
            recipe,
            TrainerConfig(precision="bf16", ema_decay=0.95, log_steps=25),
            kept,
            device=torch.device("cpu"),
        )
        stop_if_told(trainer.run(RunConsole(kept, talks=False)))
        rows = kept.metrics.read_text()
    weights.with_suffix(".jsonl").write_text(rows)
    network = trainer.average.module.eval()
    write_weights(weights, network.state_dict(), recipe.spec)
    return network


def _supervised(recipe: Recipe, scenes: Path, *, takes_views: bool) -> Recipe:
    """The same estimator, told that its levels are the radius; of one photo, its size."""
    network = recipe.modules["map"]
    assert isinstance(network, BlurMap)
    crops = CropSource([RenderedSet(scenes / "set")], seed=0, crop=CROP_PX)
    views = RadiusCrops(scenes, CROP_PX, seed=0, mirrors=True) if takes_views else None

    def batch(step: int, rank: int, world: int) -> Tensors:
        return views.batch(step, BATCH_SIZE) if views else crops.batch(step, BATCH_SIZE)

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        both = batch["views"] if "views" in batch else as_views(batch["blurred"])
        return {"levels": network.estimator(both)}

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        halved = F.avg_pool2d(outputs["levels"].float(), 2)  # (B, 3, H/2, W/2)
        return {"radius": (halved - batch["radius_px"]).abs().mean()}

    return replace(recipe, stages=(_stage("estimator", "radius", batch, forward, terms),))


def _told(recipe: Recipe, scenes: Path) -> Recipe:
    """The kernels learn alone, from the size of the true radius in the place of a map."""
    network = recipe.modules["map"]
    assert isinstance(network, BlurMap)
    crops = RadiusCrops(scenes, CROP_PX, seed=0, mirrors=False)

    def batch(step: int, rank: int, world: int) -> Tensors:
        return crops.batch(step, BATCH_SIZE)

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        levels = F.interpolate(batch["radius_px"].abs(), scale_factor=2.0, mode="nearest")
        return {"image": network.kernels(batch["all_in_focus"], levels.expand(-1, 3, -1, -1))}

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        return {"reblur": 1000 * (outputs["image"] - batch["blurred"]).abs().mean()}

    return replace(recipe, stages=(_stage("kernels", "reblur", batch, forward, terms),))


def _reblurring_module(recipe: Recipe, scenes: Path) -> Recipe:
    """A reblurring module that learns to blur the sharp photo, as in reblurring-guided training."""
    module = ReblurModule(ReblurConfig(width=16))
    crops = CropSource([RenderedSet(scenes / "set")], seed=0, crop=CROP_PX)

    def batch(step: int, rank: int, world: int) -> Tensors:
        return crops.batch(step, BATCH_SIZE)

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        return {"image": module(batch["all_in_focus"], batch["blurred"]).image}

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        return {"reblur": charbonnier(outputs["image"], batch["blurred"])}

    return Recipe(
        name="reblurring module",
        modules={"reblur": module},
        stages=(_stage("reblur", "reblur", batch, forward, terms),),
        inference="reblur",
        spec=recipe.spec,
    )


def _stage(
    module: str,
    term: str,
    batch: Callable[[int, int, int], Tensors],
    forward: Callable[[Tensors, Progress], Tensors],
    terms: Callable[[Tensors, Tensors, Progress], Tensors],
) -> Stage:
    return Stage(
        name=term,
        steps=STEPS,
        batch=batch,
        forward=forward,
        turns=(Turn(trains=(module,), weights={term: 1.0}, terms=terms),),
        learning_rate=cosine(RATE, final=0.02),
        clip=math.inf,
    )


def _by_estimator(network: BlurMap, *, is_taught: bool) -> Mapper:
    """is_taught: its levels are radii; else the kernels say what they mean."""

    @torch.no_grad()
    def mapper(photos: Mapping[str, FloatImage]) -> FloatImage:
        one = _as_tensor(photos.get("left", photos["blurry"]))
        other = _as_tensor(photos.get("right", photos["blurry"]))
        levels = network.estimator(torch.cat([one, other], dim=1))
        found = levels if is_taught else network.kernels.radius_px(levels)
        return np.asarray(found.mean(dim=1)[0].numpy())

    return mapper


def _by_restoring(network: nn.Module) -> Mapper:
    restore = restorer(network)

    def mapper(photos: Mapping[str, FloatImage]) -> FloatImage:
        radius = restore(photos["blurry"]).radius_px
        assert radius is not None
        return radius

    return mapper


def _by_sharp_photo(module: ReblurModule) -> Mapper:
    @torch.no_grad()
    def mapper(photos: Mapping[str, FloatImage]) -> FloatImage:
        found = module(_as_tensor(photos["sharp"]), _as_tensor(photos["blurry"]))
        return np.asarray(module.radius_px(found)[0, 0].numpy())

    return mapper


def _as_tensor(image: FloatImage) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
