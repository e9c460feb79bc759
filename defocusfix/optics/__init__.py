"""How lenses blur: thin-lens geometry and the shapes of blur discs."""

from defocusfix.optics.psf import (
    Aperture,
    butterworth,
    channel_radii,
    disc,
    gaussian,
    random_aperture,
    second_moment_radius,
)
from defocusfix.optics.thin_lens import DepthOfField, Lens

__all__ = [
    "Aperture",
    "DepthOfField",
    "Lens",
    "butterworth",
    "channel_radii",
    "disc",
    "gaussian",
    "random_aperture",
    "second_moment_radius",
]
