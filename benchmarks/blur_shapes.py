"""How soft real blur is: the shape of it between the frames of focus brackets.

    python benchmarks/blur_shapes.py --brackets DIR [--rendered SET] [--json]

Where one frame of a bracket is decisively sharper, the transfer function from it to the other frame
is that of the blur. It is measured window by window in linear light (the cross spectrum over the
power spectrum, averaged over rings of frequencies), and the blur of our optics that fits best, by
radius and softness, is taken for it. Radii that differ within a window, and frames that do not
quite lie on each other, look like softness too; a rendered set, scored alike, shows how much of
that there is where the softness is known.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from defocusfix.evaluation.brackets import load_brackets
from defocusfix.optics import Aperture
from defocusfix.pairs.rendered import RenderedSet

WINDOW_PX = 48
STEP_PX = 24
RINGS = np.array([0.01, 0.03, 0.05, 0.07, 0.09, 0.115, 0.145, 0.18, 0.22, 0.27, 0.33, 0.4, 0.5])
RADII_PX = np.arange(0.5, 12.1, 0.25)
SOFTNESSES = np.arange(0, 1.01, 0.05)
LARGEST_MISFIT = 0.05  # of the transfer function's power; a window above it is left out
SMALLEST_RADIUS_PX, LARGEST_RADIUS_PX = 1.5, 10.0  # below and above, shapes cannot be told apart
FEWEST_WINDOWS = 3
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
MOST_RENDERED = 400

Fit = tuple[float, float]  # radius in px, softness


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--brackets", type=Path, required=True, metavar="DIR")
    parser.add_argument("--rendered", type=Path, metavar="SET", help="to compare with")
    parser.add_argument("--json", action="store_true", help="write one JSON object instead")
    wanted = parser.parse_args()

    model = transfer_functions()
    by_group: dict[str, list[float]] = {}
    for case in load_brackets(wanted.brackets):
        reference = case.locally_aligned
        fits = fitted(case.image, reference.image, reference.mask, model)
        if len(fits) >= FEWEST_WINDOWS:
            group = case.scene.split("_")[0]
            by_group.setdefault(group, []).append(float(np.median([fit[1] for fit in fits])))
    if wanted.rendered:
        by_group["rendered"] = list(_of_rendered(RenderedSet(wanted.rendered), model))
    rows = {name: _quantiles(found) for name, found in by_group.items()}
    if wanted.json:
        print(json.dumps({"quantiles": QUANTILES, "softness": rows}, indent=2))
        return
    print("softness per frame".ljust(24) + "".join(f"{share:>7.0%}" for share in QUANTILES))
    for name, row in rows.items():
        frames = f"{name} ({len(by_group[name])})"
        print(frames.ljust(24) + "".join(f"{value:7.2f}" for value in row))


def transfer_functions() -> np.ndarray:
    """(radii, softnesses, rings): what a blur leaves of each ring of frequencies, on average."""
    rings = _ring_of_each_frequency()
    table = np.zeros((len(RADII_PX), len(SOFTNESSES), len(RINGS) - 1))
    for i, radius in enumerate(RADII_PX):
        for j, softness in enumerate(SOFTNESSES):
            psf = Aperture(softness=float(softness)).point_spread_function(float(radius))
            passed = _transfer(psf)
            table[i, j] = [passed[rings == ring].mean() for ring in range(table.shape[2])]
    return table


def fitted(
    blurred: np.ndarray, sharp: np.ndarray, mask: np.ndarray, model: np.ndarray
) -> list[Fit]:
    """Radius and softness of every window that `mask` fills and one blur explains.

    blurred, sharp: (H, W, 3) in [0, 1], display-encoded, on each other. mask: (H, W) bool.
    """
    rings = _ring_of_each_frequency()
    hann = np.hanning(WINDOW_PX + 2)[1:-1]
    taper = np.outer(hann, hann)
    light_blurred, light_sharp = _linear(blurred[..., 1]), _linear(sharp[..., 1])
    found = []
    for top in range(0, blurred.shape[0] - WINDOW_PX + 1, STEP_PX):
        for left in range(0, blurred.shape[1] - WINDOW_PX + 1, STEP_PX):
            window = (slice(top, top + WINDOW_PX), slice(left, left + WINDOW_PX))
            if mask[window][taper > 0.2].mean() < 0.9:
                continue
            before = _spectrum(light_sharp[window], taper)
            after = _spectrum(light_blurred[window], taper)
            power, cross = np.abs(before) ** 2, (np.conj(before) * after).real
            of_rings = [(power[rings == n].sum(), cross[rings == n].sum())
                        for n in range(len(RINGS) - 1)]  # fmt: skip
            if (fit := _best_fit(np.array(of_rings), model)) is not None:
                found.append(fit)
    return found


def _best_fit(of_rings: np.ndarray, model: np.ndarray) -> Fit | None:
    power, cross = of_rings[:, 0], of_rings[:, 1]
    if not (power > 0).all():
        return None
    measured = cross / power
    weight = np.sqrt(power) / np.sqrt(power).sum()
    # The exposure of the frames may differ a little.
    gain = (model * measured * weight).sum(-1) / (model**2 * weight).sum(-1)
    misfit = ((gain.clip(0.85, 1.15)[..., None] * model - measured) ** 2 * weight).sum(-1)
    i, j = np.unravel_index(misfit.argmin(), misfit.shape)
    radius, softness = float(RADII_PX[i]), float(SOFTNESSES[j])
    if misfit[i, j] > LARGEST_MISFIT * (measured**2 * weight).sum():
        return None
    return (radius, softness) if SMALLEST_RADIUS_PX <= radius <= LARGEST_RADIUS_PX else None


def _of_rendered(pairs: RenderedSet, model: np.ndarray) -> Iterator[float]:
    for index in range(min(len(pairs), MOST_RENDERED)):
        blurred, sharp, radius = pairs[index]
        height, width = blurred.shape[:2]
        wide = cv2.resize(np.abs(radius.astype(np.float32)), (width, height))
        is_blurred = (wide > SMALLEST_RADIUS_PX) & (wide < LARGEST_RADIUS_PX)
        fits = fitted(blurred / 255, sharp / 255, is_blurred, model)
        if len(fits) >= FEWEST_WINDOWS:
            yield float(np.median([fit[1] for fit in fits]))


def _ring_of_each_frequency() -> np.ndarray:
    frequencies = np.fft.fftfreq(WINDOW_PX)
    distance = np.hypot(frequencies[:, None], frequencies[None, :])
    return np.digitize(distance, RINGS) - 1


def _transfer(psf: np.ndarray) -> np.ndarray:
    """Real part of the psf's transfer function at the frequencies of a window."""
    along = np.arange(len(psf)) - len(psf) // 2
    waves = np.exp(2j * np.pi * np.outer(np.fft.fftfreq(WINDOW_PX), along))
    return (waves @ psf.astype(np.float64) @ waves.T).real


def _spectrum(window: np.ndarray, taper: np.ndarray) -> np.ndarray:
    mean = (window * taper).sum() / taper.sum()
    return np.fft.fft2((window - mean) * taper)


def _linear(display: np.ndarray) -> np.ndarray:
    """Linear light of display values (sRGB), both in [0, 1]."""
    display = np.clip(display, 0, 1)
    return np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)


def _quantiles(values: list[float]) -> list[float]:
    return [round(float(value), 2) for value in np.quantile(values, QUANTILES)]


if __name__ == "__main__":
    main()
