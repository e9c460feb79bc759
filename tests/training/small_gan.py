"""The learnable blur kernel and its generator, small enough for a test."""

from __future__ import annotations

from defocusfix.networks.blur_map import BlurMapConfig
from defocusfix.training.recipes.learnable_kernel_gan import GanConfig

TINY_MAP = BlurMapConfig(width=4, branches=(0, 1), levels=5)
SMALL_GAN = GanConfig(
    feature_weight=0,
    defocus_pixel_weight=0.01,
    pixel_epochs=1,
    joining_epochs=1,
    adversarial_epochs=1,
    fade_after_epochs=2,
    fade_steps=4,
    batch_size=2,
    learning_rate=1e-3,
)
