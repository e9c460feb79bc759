"""Whether a blurred photo was moved rather than out of focus.

Defocus takes fine detail away in all directions alike, motion only along its path. Over many
windows of a photo the logarithms of their power spectra are averaged, so that what is in the
windows averages out; what is left of a direction is compared with the mean of all. How well it
tells the two apart is measured by benchmarks/motion_or_defocus.py.

Source of the averaging: Stockham et al., Blind deconvolution through digital signal processing,
Proceedings of the IEEE 63(4), 1975.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.photo.photo import Photo

LARGEST_SIDE_PX: Final = 1200  # photos with longer sides are made smaller to be looked at
WINDOW_PX: Final = 64
LEAST_DEVIATION: Final = 0.03  # of display values; flatter windows say nothing
FEWEST_WINDOWS, MOST_WINDOWS = 8, 400
LOWEST, HIGHEST = 0.05, 0.30  # cycles per pixel: below is what the photo shows, above noise
RING: Final = 0.025
NOISE_POWER: Final = 3e-6  # keeps empty frequencies from counting as much as full ones
LEAST_LEAN: Final = 0.85  # from which a blur is one of motion

Luminance = npt.NDArray[np.float32]


def looks_like_motion(photo: Photo) -> bool:
    """Whether the blur of a wholly blurred photo is one of motion.

    A photo that is sharp in places cannot be judged by this: what it shows leans as well.
    """
    return lean(small_luminance(photo)) >= LEAST_LEAN


def small_luminance(photo: Photo) -> Luminance:
    """Mean of the colours, (H, W) in [0, 1], no side longer than `LARGEST_SIDE_PX`."""
    factor = min(1.0, LARGEST_SIDE_PX / max(photo.height, photo.width))
    size = (max(1, round(photo.width * factor)), max(1, round(photo.height * factor)))
    small = cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA)
    colours = small.reshape(size[1], size[0], -1).astype(np.float32) / photo.largest_value
    return np.asarray(colours.mean(axis=2), np.float32)


def lean(luminance: Luminance) -> float:
    """How much more of one direction's detail is left than of the one across it, 0 or more.

    luminance: (H, W) in [0, 1], display-encoded. It is the amplitude, in nepers of power, of the
    wave that goes once through half a turn of directions; 0 where there is too little to see.
    """
    windows = _windows(luminance)
    if len(windows) < FEWEST_WINDOWS:
        return 0.0
    hann = np.hanning(WINDOW_PX + 2)[1:-1]
    taper = np.outer(hann, hann)
    logarithms = np.zeros((WINDOW_PX, WINDOW_PX))
    for window in windows:
        level = (window * taper).sum() / taper.sum()
        spectrum = np.fft.fft2((window - level) * taper) / WINDOW_PX
        logarithms += np.log(np.abs(spectrum) ** 2 + NOISE_POWER)
    logarithms /= len(windows)

    frequencies = np.fft.fftfreq(WINDOW_PX)
    distance = np.hypot(frequencies[:, None], frequencies[None, :])
    direction = np.arctan2(frequencies[:, None], frequencies[None, :])
    waves = []
    for start in np.arange(LOWEST, HIGHEST - RING / 2, RING):
        ring = (distance >= start) & (distance < start + RING)
        turned = np.exp(2j * direction[ring])
        waves.append(2 * np.mean((logarithms[ring] - logarithms[ring].mean()) * turned))
    return float(np.abs(np.mean(waves)))


def _windows(luminance: Luminance) -> list[Luminance]:
    """Those with most to see, half overlapping."""
    starts = [range(0, side - WINDOW_PX + 1, WINDOW_PX // 2) for side in luminance.shape]
    windows = [
        luminance[top : top + WINDOW_PX, left : left + WINDOW_PX]
        for top in starts[0]
        for left in starts[1]
    ]
    deviations = np.array([window.std() for window in windows])
    best = np.argsort(-deviations)[:MOST_WINDOWS]
    return [windows[index] for index in best if deviations[index] >= LEAST_DEVIATION]
