"""Figures of a restored photo whose truth is known: likeness, drift, sharpness, map.

Drift is how far the output has moved from its input. The truth of a rendered pair lies exactly
where its input does, so the output is registered to the truth, to fractions of a pixel, by one
displacement for the whole photo. Of several photos, `drift_px` is the median of its lengths, and
`common_px` the length of its mean: what all photos have in common. Truths moved by known distances
come back with those: `python benchmarks/pair_figures.py WORK/held-out`. Where a photo is soft the
measure is less sure: an input, which has not moved, comes out at 0.08 px.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from defocusfix.evaluation.metrics import psnr
from defocusfix.evaluation.rendered import is_textured
from defocusfix.registration.local_shift import BLUR_SIGMA_PX, LUMINANCE
from defocusfix.registration.warp import FloatImage, warp

BORDER_PX = 16  # left out: there a flow or a target looks beyond the photo
SHIFT_STEPS = 20
BLURRED_PX = 1.0  # radius from which sharpness is asked for


@dataclass(frozen=True)
class Figures:
    """Of one photo, or over photos; nan where nothing was measured."""

    psnr_truth: float
    """dB, against the truth that lies where the input does."""
    psnr_target: float
    """dB, against the target as it was taken."""
    right_px: float
    """How far the output has moved; of several photos, the mean."""
    down_px: float
    drift_px: float
    """The length of that; of several photos, the median."""
    sharpness: float
    """Mean gradient of the output over that of the truth, where the input is out of focus."""
    map_error_px: float
    """Mean absolute error of the radius map."""

    @property
    def common_px(self) -> float:
        """Of several photos: how far all have moved together."""
        return float(np.hypot(self.right_px, self.down_px))


def figures(
    output: FloatImage,
    found_radius: FloatImage | None,
    *,
    truth: FloatImage,
    target: FloatImage,
    radius_px: FloatImage,
) -> Figures:
    """Images (H, W, 3) in [0, 1], radius maps in pixels: (H, W), and (H/2, W/2), signed."""
    inner = np.zeros(output.shape[:2], np.bool_)
    inner[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = True
    radius = np.abs(radius_px).repeat(2, axis=0).repeat(2, axis=1)
    textured = inner & is_textured(truth)
    moved = -whole_shift(output, truth, inner)
    soft = textured & (radius >= BLURRED_PX)
    sharpness = _gradient(output)[soft].mean() / _gradient(truth)[soft].mean()
    error = np.nan if found_radius is None else np.abs(found_radius - radius)[inner].mean()
    return Figures(
        psnr_truth=psnr(output, truth, inner),
        psnr_target=psnr(output, target, inner),
        right_px=float(moved[0]),
        down_px=float(moved[1]),
        drift_px=float(np.hypot(*moved)),
        sharpness=float(sharpness),
        map_error_px=float(error),
    )


def whole_shift(moving: FloatImage, fixed: FloatImage, mask: np.ndarray) -> np.ndarray:
    """The displacement (x, y) in px with which `moving` fits `fixed` best; both (H, W, 3).

    mask: (H, W), True where to look; nan if that is nowhere. Least squares on smoothed luminance,
    along the slopes of `fixed`, the sharper one: those of a soft photo would make steps too long.
    """
    if not mask.any():
        return np.full(2, np.nan)
    source, target = (
        cv2.GaussianBlur((view @ LUMINANCE).astype(np.float32), (0, 0), BLUR_SIGMA_PX)
        for view in (moving, fixed)
    )
    slopes = np.stack(
        [
            cv2.Sobel(target, cv2.CV_32F, 1, 0, scale=1 / 8)[mask],
            cv2.Sobel(target, cv2.CV_32F, 0, 1, scale=1 / 8)[mask],
        ],
        axis=1,
    )
    solve = np.linalg.pinv(slopes)
    found = np.zeros(2, np.float32)
    for _ in range(SHIFT_STEPS):
        seen = warp(source, np.broadcast_to(found, (*source.shape, 2)))
        found = found + (solve @ (target - seen)[mask]).astype(np.float32)
    return found


def mean_figures(found: Sequence[Figures]) -> Figures:
    """Means over photos, of those that have the figure; the median of the drift."""
    columns = {field.name: [getattr(f, field.name) for f in found] for field in fields(Figures)}
    means = {
        name: float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
        for name, values in columns.items()
    }
    return Figures(**means | {"drift_px": float(np.median(columns["drift_px"]))})


def read_scene(folder: Path, number: int, target: str) -> dict[str, FloatImage]:
    """What `figures` compares with, of a folder written by one_lens.write_pairs."""
    names = {"truth": "truth", "target": f"sharp {target}"}
    views = {key: read_image(folder / name / f"{number:03d}.png") for key, name in names.items()}
    return views | {"radius_px": np.load(folder / "radius" / f"{number:03d}.npy")}


def read_image(path: Path) -> FloatImage:
    """(H, W, 3) RGB in [0, 1]."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise FileNotFoundError(path)
    return pixels[..., ::-1].astype(np.float32) / np.float32(255)


def count_scenes(folder: Path) -> int:
    return len(list((folder / "blurry").glob("*.png")))


def _gradient(image: FloatImage) -> FloatImage:
    luminance = (image @ LUMINANCE).astype(np.float32)
    return np.hypot(
        cv2.Sobel(luminance, cv2.CV_32F, 1, 0, scale=1 / 8),
        cv2.Sobel(luminance, cv2.CV_32F, 0, 1, scale=1 / 8),
    )


def main() -> None:
    """Truths moved by known distances, as the measure sees them."""
    parser = argparse.ArgumentParser(description="Check the measure of drift on known shifts.")
    parser.add_argument("pairs", type=Path, help="a folder of pairs, such as WORK/val")
    folder = parser.parse_args().pairs
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0):
        found = []
        for number in range(count_scenes(folder)):
            scene = read_scene(folder, number, "0")
            angle = rng.uniform(0, 2 * np.pi)
            vector = shift * np.array([np.cos(angle), np.sin(angle)], np.float32)
            moved = warp(scene["truth"], np.broadcast_to(vector, (*scene["truth"].shape[:2], 2)))
            found.append(figures(moved, None, **scene))
        means = asdict(mean_figures(found))
        print(f"{shift:5.2f} px  " + "  ".join(f"{k} {v:.3f}" for k, v in means.items()))


if __name__ == "__main__":
    main()
