"""Two sets of weights on real photos: gain, detail, and sheets to look at.

    python benchmarks/perceptual.py WORK --crisp FILE [--natural FILE] [--brackets DIR]
                                    [--photos DIR ...]

For weights that were trained to please the eye (`train --recipe defocus-gan`) beside those that
were trained to be right. Focus brackets score both as `defocusfix evaluate --brackets` does, and by
detail: the energy of their fine structure where the other frame is decisively sharper, as a share
of that frame's. 1 is as much as there was; more than that was invented. Photos without a sharp
counterpart only tell how much more of it one has than the other.

WORK/sheet-NN.png show what figures cannot say, five photos each: the input, both results and, of
brackets, the sharp frame, cropped where the results differ most. Figures of every photo are in
WORK/perceptual.csv.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.evaluation.brackets import GRAIN_SIGMA_PX, load_brackets, score_case, summarise
from defocusfix.evaluation.pictures import read_picture
from defocusfix.evaluation.sheets import spread
from defocusfix.figures.contact_sheet import Crop, Panel, contact_sheet, crop_around, write_sheet
from defocusfix.pairs.find import PICTURE_SUFFIXES
from defocusfix.registration.global_ecc import LUMINANCE
from defocusfix.registration.warp import FloatImage
from defocusfix.restoration.restorer import Restorer, open_restorer
from defocusfix.restoration.settings import RestoreSettings

Mask = npt.NDArray[np.bool_]

BRACKETS_SHOWN = 10
PHOTOS_PER_SHEET = 5
CROP_PX = 160
LARGEST_PX = 1024  # of the middle of a photo that is restored
DIFFERENCE_SIGMA_PX = 16.0  # a crop lies where this much around it differs most


@dataclass(frozen=True)
class Row:
    """Figures of one photo; those that need a sharp frame are nan without one."""

    photo: str
    natural_gain_db: float
    crisp_gain_db: float
    natural_detail: float
    crisp_detail: float
    more_detail: float
    """Detail of crisp as a share of natural's."""
    natural_kept_db: float
    crisp_kept_db: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, metavar="WORK", help="folder for sheets and figures")
    parser.add_argument("--crisp", type=Path, required=True, metavar="FILE")
    parser.add_argument("--natural", type=Path, metavar="FILE", help="[default: focusnet-s]")
    parser.add_argument("--brackets", type=Path, metavar="DIR")
    parser.add_argument("--photos", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--count", type=int, default=5, help="photos of each DIR [default: 5]")
    parser.add_argument("--threads", type=int, metavar="N")
    wanted = parser.parse_args()
    wanted.work.mkdir(parents=True, exist_ok=True)

    natural, crisp = (opened(model, wanted.threads) for model in (wanted.natural, wanted.crisp))
    rows, shown = [], []
    if wanted.brackets is not None:
        rows, shown = of_brackets(wanted.brackets, natural, crisp)
    for folder in wanted.photos:
        for path in chosen(folder, wanted.count):
            row, panels = of_photo(path, natural, crisp)
            rows.append(row)
            shown.append(panels)
    for first in range(0, len(shown), PHOTOS_PER_SHEET):
        sheet = contact_sheet(shown[first : first + PHOTOS_PER_SHEET])
        write_sheet(wanted.work / f"sheet-{first // PHOTOS_PER_SHEET:02d}.png", sheet)
    write_rows(wanted.work / "perceptual.csv", rows)


def opened(model: Path | None, threads: int | None) -> Restorer:
    """A restorer on the processor, in full precision, so that engines make no difference."""
    return open_restorer(
        model, device="cpu", precision="fp32", threads=threads, settings=RestoreSettings()
    )


def of_brackets(
    folder: Path, natural: Restorer, crisp: Restorer
) -> tuple[list[Row], list[list[Panel]]]:
    """Figures of every case, and panels of some, from the least to the largest gain."""
    cases = load_brackets(folder)
    rows, panels, scores = [], [], ([], [])
    for case in cases:
        images = [restorer(case.image).image for restorer in (natural, crisp)]
        found = [score_case(case, image) for image in images]
        for kept, score in zip(scores, found, strict=True):
            kept.append(score)
        mask = case.aligned.mask
        truth = detail(case.aligned.image, mask)
        shares = [detail(image, mask) / truth for image in images]
        rows.append(
            Row(
                photo=case.name,
                natural_gain_db=found[0].gain_db,
                crisp_gain_db=found[1].gain_db,
                natural_detail=shares[0],
                crisp_detail=shares[1],
                more_detail=shares[1] / shares[0],
                natural_kept_db=found[0].kept_db,
                crisp_kept_db=found[1].kept_db,
            )
        )
        labels = [f"{share:.2f} of the detail" for share in shares]
        panels.append(side_by_side(case.name, case.image, images, labels, mask))
        panels[-1].append(Panel("sharp frame", most_different(images, mask).of(case.aligned.image)))
    for name, found in zip(("natural", "crisp"), scores, strict=True):
        for scenes in ("", "lytro"):
            mean = summarise(found, scenes)
            print(
                f"{name:8} {scenes or 'all':6} {mean.cases:3d} cases  gain {mean.gain_db:+.2f} dB, "
                f"after local shifts {mean.gain_local_db:+.2f} dB  improved {mean.improved:.0%}  "
                f"kept {mean.kept_db:.1f} dB"
            )
    for name in ("natural_detail", "crisp_detail"):
        print(f"{name}: median {np.median([getattr(row, name) for row in rows]):.3f}")
    some = spread([row.natural_gain_db for row in rows], BRACKETS_SHOWN)
    return rows, [panels[index] for index in some]


def of_photo(path: Path, natural: Restorer, crisp: Restorer) -> tuple[Row, list[Panel]]:
    """Figures and panels of the middle of a photo that nothing judges."""
    image = read_picture(path)
    height, width = image.shape[:2]
    middle = crop_around((width // 2, height // 2), LARGEST_PX, (height, width)).of(image)
    images = [restorer(np.ascontiguousarray(middle)).image for restorer in (natural, crisp)]
    everywhere = np.ones(middle.shape[:2], np.bool_)
    before, *after = (detail(view, everywhere) for view in (middle, *images))
    nan = float("nan")
    row = Row(path.stem, nan, nan, nan, nan, after[1] / after[0], nan, nan)
    labels = [f"{energy / before:.2f} times the input's detail" for energy in after]
    return row, side_by_side(path.stem, middle, images, labels, everywhere)


def detail(image: FloatImage, mask: Mask) -> float:
    """Mean energy of the Laplacian of luminance inside the mask; grain does not count."""
    luminance = (image @ LUMINANCE).astype(np.float32)
    smooth = cv2.GaussianBlur(luminance, (0, 0), GRAIN_SIGMA_PX)
    return float(np.mean(np.square(cv2.Laplacian(smooth, cv2.CV_32F)[mask])))


def side_by_side(
    name: str, image: FloatImage, images: Sequence[FloatImage], labels: Sequence[str], mask: Mask
) -> list[Panel]:
    """Input, natural and crisp at the place where the last two differ most."""
    crop = most_different(images, mask)
    return [
        Panel(name, crop.of(image)),
        Panel(f"natural {labels[0]}", crop.of(images[0])),
        Panel(f"crisp {labels[1]}", crop.of(images[1])),
    ]


def most_different(images: Sequence[FloatImage], mask: Mask) -> Crop:
    """Where two results differ most inside the mask."""
    difference = np.square(images[0] - images[1]).mean(axis=2) * mask
    around = np.asarray(cv2.GaussianBlur(difference, (0, 0), DIFFERENCE_SIGMA_PX))
    row, column = np.unravel_index(int(np.argmax(around)), around.shape)
    return crop_around((int(column), int(row)), CROP_PX, mask.shape)


def chosen(folder: Path, count: int) -> Iterator[Path]:
    """Photos of a folder, evenly spaced by name."""
    paths = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in PICTURE_SUFFIXES]
    numbers = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    yield from (paths[number] for number in numbers)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """One line for each photo."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(Row.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


if __name__ == "__main__":
    main()
