"""Focus brackets: where one frame of a scene is decisively sharper, it judges the other.

A folder SCENE holds two frames, SCENE_A and SCENE_B, one focused near and one far. Each frame
is restored in turn; the other is its reference where that one is in focus. So real blur is
scored against a real photo, without anybody having labelled anything.

Focus breathing and parallax move the second frame. Each case is therefore scored three times:
against the reference as shot, after one global alignment (shift, rotation, zoom: the headline)
and after small local shifts on top. The alignment is found once from the untouched frames, so
a method cannot influence it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.errors import InputError
from defocusfix.evaluation.metrics import psnr
from defocusfix.evaluation.pictures import read_picture
from defocusfix.evaluation.protocols import FloatImage, Restore, restored_image
from defocusfix.pairs.find import PICTURE_SUFFIXES
from defocusfix.registration.global_ecc import LUMINANCE, align_globally
from defocusfix.registration.local_shift import local_shifts
from defocusfix.registration.warp import Flow, inside, warp

Mask = npt.NDArray[np.bool_]

GRAIN_SIGMA_PX: Final = 0.8  # keeps noise and JPEG grain from counting as detail
NEIGHBOURHOOD_SIGMA_PX: Final = 6.0  # detail is compared over about this distance
DECISIVE_RATIO: Final = 4.0  # Laplacian energy of the sharper frame over the other's
LEAST_ENERGY: Final = 1e-5  # below it a region is flat and says nothing about sharpness
EROSION_PX: Final = 9  # diameter; keeps clear of the rims, where blur of both frames mixes
SMALLEST_SHARE: Final = 0.015  # of the frame; a case with a smaller mask is dropped


@dataclass(frozen=True, slots=True)
class Reference:
    """The other frame of the scene, brought to the frame at hand."""

    image: FloatImage
    """(H, W, 3) in [0, 1]."""
    mask: Mask
    """(H, W), True where this reference is decisively sharper than the frame at hand."""


@dataclass(frozen=True, slots=True)
class BracketCase:
    """One frame to restore, with what it is compared with."""

    scene: str
    frame: str
    """"A" or "B": the frame that is restored."""
    image: FloatImage
    """(H, W, 3) in [0, 1]."""
    aligned: Reference
    """After one global alignment; decides whether the case counts at all."""
    as_shot: Reference
    locally_aligned: Reference
    sharp: Mask
    """(H, W), True where the frame at hand is decisively sharper and must stay as it is."""

    @property
    def name(self) -> str:
        return f"{self.scene}_{self.frame}"


@dataclass(frozen=True, slots=True)
class BracketScore:
    """Figures of one case, all in dB."""

    case: str
    input_db: float
    """PSNR of the untouched frame against the aligned reference."""
    output_db: float
    gain_db: float
    gain_as_shot_db: float
    """The same without any alignment; nan where that mask is empty."""
    gain_local_db: float
    """The same with small local shifts on top of the alignment."""
    kept_db: float
    """PSNR between output and frame where the frame was sharp, at most 60; nan: nowhere."""


@dataclass(frozen=True, slots=True)
class BracketSummary:
    """Means over cases."""

    cases: int
    input_db: float
    gain_db: float
    gain_as_shot_db: float
    gain_local_db: float
    improved: float
    """Share of cases with a gain above 0."""
    kept_db: float
    kept_tail_db: float
    """Mean of the worst tenth of what is kept, at least one case."""


def load_brackets(folder: Path) -> list[BracketCase]:
    """Read every scene of `folder` and make its cases; those with a small mask are left out.

    Takes about 20 s for 31 scenes of 0.1 to 0.5 megapixels; use the result for many methods.
    Raises InputError if there is no scene, or if two frames of one differ in size.
    """
    cases = []
    for scene in _scenes(folder):
        frames = {name[-1]: read_picture(path) for name, path in _frames(scene).items()}
        if frames["A"].shape != frames["B"].shape:
            raise InputError(
                f"the frames of {scene} differ in size",
                why=f"{frames['A'].shape[:2]} and {frames['B'].shape[:2]}",
            )
        for frame, other in (("A", "B"), ("B", "A")):
            case = bracket_case(scene.name, frame, frames[frame], frames[other])
            if case.aligned.mask.mean() >= SMALLEST_SHARE:
                cases.append(case)
    return cases


def bracket_case(scene: str, frame: str, image: FloatImage, other: FloatImage) -> BracketCase:
    """The case of restoring `image` with `other` as its reference; both (H, W, 3), one size."""
    size = image.shape[:2]
    global_flow = align_globally(other, image).flow((size[0], size[1]))
    aligned_other = warp(other, global_flow)
    local_flow = global_flow + local_shifts(aligned_other, image)
    aligned = _reference(image, other, global_flow)
    sharp = decisively_sharper(image, aligned_other) & inside(global_flow)
    return BracketCase(
        scene=scene,
        frame=frame,
        image=image,
        aligned=aligned,
        as_shot=Reference(other, decisively_sharper(other, image)),
        locally_aligned=Reference(warp(other, local_flow), aligned.mask & inside(local_flow)),
        sharp=sharp,
    )


def decisively_sharper(image: FloatImage, other: FloatImage) -> Mask:
    """(H, W), True where `image` holds much more fine detail than `other`.

    Compared by local Laplacian energy of luminance; flat regions and a rim are False.
    """
    energy, other_energy = _laplacian_energy(image), _laplacian_energy(other)
    decisive = (energy > DECISIVE_RATIO * other_energy) & (energy > LEAST_ENERGY)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (EROSION_PX, EROSION_PX))
    return np.asarray(cv2.erode(decisive.astype(np.uint8), disc)) > 0


def score_brackets(restore: Restore, cases: Sequence[BracketCase]) -> list[BracketScore]:
    """Restore the frame of every case and score it, in the order given."""
    return [score_case(case, restored_image(restore, case.image)[0]) for case in cases]


def score_case(case: BracketCase, output: FloatImage) -> BracketScore:
    """Figures of one case for a finished output (H, W, 3) in [0, 1]."""
    input_db = psnr(case.image, case.aligned.image, case.aligned.mask)
    output_db = psnr(output, case.aligned.image, case.aligned.mask)
    return BracketScore(
        case=case.name,
        input_db=input_db,
        output_db=output_db,
        gain_db=output_db - input_db,
        gain_as_shot_db=_gain(case.image, output, case.as_shot),
        gain_local_db=_gain(case.image, output, case.locally_aligned),
        kept_db=psnr(output, case.image, case.sharp) if case.sharp.any() else float("nan"),
    )


def summarise(scores: Sequence[BracketScore], scenes: str = "") -> BracketSummary:
    """Means over the cases whose scene starts with `scenes`; all of them by default.

    Raises ValueError if there is none.
    """
    chosen = [score for score in scores if score.case.startswith(scenes)]
    if not chosen:
        raise ValueError(f"no bracket case starts with {scenes!r}")
    kept = np.sort([score.kept_db for score in chosen if np.isfinite(score.kept_db)])
    worst = kept[: max(1, round(len(kept) / 10))]
    gains = np.array([score.gain_db for score in chosen])
    return BracketSummary(
        cases=len(chosen),
        input_db=float(np.mean([score.input_db for score in chosen])),
        gain_db=float(gains.mean()),
        gain_as_shot_db=float(np.nanmean([score.gain_as_shot_db for score in chosen])),
        gain_local_db=float(np.nanmean([score.gain_local_db for score in chosen])),
        improved=float(np.mean(gains > 0)),
        kept_db=float(kept.mean()) if len(kept) else float("nan"),
        kept_tail_db=float(worst.mean()) if len(worst) else float("nan"),
    )


def _scenes(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    scenes = [scene for scene in sorted(folder.iterdir()) if scene.is_dir() and _frames(scene)]
    if not scenes:
        raise InputError(
            f"{folder} holds no focus brackets",
            why="no folder SCENE in it holds two pictures SCENE_A and SCENE_B",
        )
    return scenes


def _frames(scene: Path) -> dict[str, Path]:
    """Both frames by stem, or nothing where one is missing."""
    names = {f"{scene.name}_A", f"{scene.name}_B"}
    found = {
        path.stem: path
        for path in sorted(scene.iterdir())
        if path.stem in names and path.suffix.lower() in PICTURE_SUFFIXES
    }
    return found if found.keys() == names else {}


def _reference(image: FloatImage, other: FloatImage, flow: Flow) -> Reference:
    moved = warp(other, flow)
    return Reference(moved, decisively_sharper(moved, image) & inside(flow))


def _gain(image: FloatImage, output: FloatImage, reference: Reference) -> float:
    if not reference.mask.any():
        return float("nan")
    before = psnr(image, reference.image, reference.mask)
    return psnr(output, reference.image, reference.mask) - before


def _laplacian_energy(image: FloatImage) -> FloatImage:
    luminance = (image @ LUMINANCE).astype(np.float32)
    smooth = cv2.GaussianBlur(luminance, (0, 0), GRAIN_SIGMA_PX)
    laplacian = cv2.Laplacian(smooth, cv2.CV_32F)
    return np.asarray(cv2.GaussianBlur(laplacian**2, (0, 0), NEIGHBOURHOOD_SIGMA_PX), np.float32)
