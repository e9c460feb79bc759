"""Restoring as the work of a plan: from a photo's file to its restored file, map and comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from defocusfix.errors import InputError, OutputError, UsageError
from defocusfix.jobs.dual_pixel import ViewFiles
from defocusfix.jobs.events import Blur, Method
from defocusfix.jobs.files import Streams, make_folder, read_item
from defocusfix.jobs.plan import Item
from defocusfix.jobs.run import Computed, Report, Saved
from defocusfix.jobs.treatment import Target, Treatment
from defocusfix.photo.convert import DTYPES, FORMATS, TARGETS, WRITTEN_AS, converted
from defocusfix.photo.limits import Limits
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.photo.replace import Version, check_replaceable
from defocusfix.photo.suffixes import SUFFIXES, format_of
from defocusfix.photo.write import encode_photo, replace_with_photo, write_photo
from defocusfix.restoration.defocus_map import DefocusMap
from defocusfix.restoration.restorer import Restoration, Restorer

if TYPE_CHECKING:
    from defocusfix.jobs.report_pictures import PictureStore

FloatImage = npt.NDArray[np.float32]
RestorerFor = Callable[[int], Restorer]
"""Opens a restorer for outputs of 8, 16 or 32 bits, or gives the one that is open."""

LOSSY_FORMATS: dict[str, Target] = {"jpeg": "jpeg", "webp": "webp", "avif": "avif"}
ALWAYS_8_BITS = frozenset({"jpeg", "webp"})
LARGEST_STRETCH = 1.02  # a mask whose sides relate otherwise was not painted for this photo


class Restoring:
    """Restores the photos of a plan.

    pictures: keeps what a page of the batch shows of each photo; None if there is no page.
    Raises InputError if the mask or a view cannot be read.
    """

    def __init__(
        self,
        treatment: Treatment,
        restorer_for: RestorerFor,
        streams: Streams,
        *,
        may_overwrite: bool,
        pictures: PictureStore | None = None,
    ) -> None:
        self._treatment = treatment
        self._pictures = pictures
        self._restorer_for = restorer_for
        self._streams = streams
        self._may_overwrite = may_overwrite
        self._versions: dict[Path, Version] = {}  # of photos to be replaced, as they were read
        limits = treatment.limits
        self._mask = None if treatment.mask is None else read_mask(treatment.mask, limits)
        self._views = None if treatment.views is None else ViewFiles(treatment.views, limits)

    @property
    def program(self) -> str:
        """Name and version of the program that does it."""
        return self._treatment.program

    def warm_up(self, item: Item) -> None:
        """Open the restorer, if the name of the photo tells how deep its output will be."""
        target = self._treatment.target
        if target is not None:
            self._restorer_for(_bits_of(target))
        elif item.source is not None and format_of(item.source) in ALWAYS_8_BITS:
            self._restorer_for(8)

    def read(self, item: Item) -> Photo:
        """The photo, at the greater of its depth and that of the output."""
        if item.is_in_place and item.output is not None:
            _check_format_stays(item.output, self._treatment)
            self._versions[item.output] = check_replaceable(item.output)
        photo = read_item(item, self._treatment.limits, self._streams)
        target = self._target(photo)
        _check_suffix(item, photo, FORMATS.get(target or "", target) or photo.format)
        if self._treatment.area is not None:
            _check_area(item, photo, self._treatment.area)
        if self._mask is not None:
            _check_shape(self._mask, item, photo)
        if self._views is not None:
            self._views.of(item, photo)
        if target is not None and self._output_bits(photo) > photo.bits:
            return converted(photo, target, quality=self._treatment.quality)
        return photo

    def method(self, photo: Photo) -> Method:
        """By what the photo will be restored."""
        return method_of(self._restorer(photo), self._output_bits(photo))

    def megapixels(self, photo: Photo) -> float:
        """Of the whole photo, or of the area that is wanted."""
        if self._treatment.area is None:
            return photo.megapixels
        _, _, width, height = self._treatment.area
        return width * height / 1e6

    def compute(self, item: Item, photo: Photo, report: Report) -> Computed:
        """Restore the photo.

        Raises UsageError if a map is wanted of a network that gives none, or there are views and it
        takes none, or the other way round.
        """
        restorer = self._restorer(photo)
        if item.map_output is not None and not restorer.gives_map:
            raise UsageError(
                f"the model {restorer.spec.name} gives no defocus map", fix="leave --map out"
            )
        area = self._treatment.area
        restoration = restorer.restore_pixels(
            photo.pixels,
            views=None if self._views is None else self._views.of(item, photo),
            mask=self._mask,
            area=area,
            report=report,
            # Nobody looks at the photo as it was, unless it is shown beside the restored one.
            in_place=area is None and item.comparison_output is None and self._pictures is None,
        )
        found = restoration.defocus_map
        return Computed(
            blur=None if found is None else blur_of(found),
            scales=restoration.scales,
            warnings=restoration.notes,
            save=partial(self._save, item, photo, restoration),
        )

    def _target(self, photo: Photo) -> Target | None:
        """What the photo is converted to; None if it stays as it is."""
        target = self._treatment.target or WRITTEN_AS.get(photo.format)
        if target is None and self._treatment.quality is not None:
            return LOSSY_FORMATS.get(photo.format)
        return target

    def _output_bits(self, photo: Photo) -> int:
        target = self._target(photo)
        stays = target is None or target == photo.format == "avif"  # an AVIF keeps its depth
        return photo.bits if stays else _bits_of(target)

    def _restorer(self, photo: Photo) -> Restorer:
        return self._restorer_for(self._output_bits(photo))

    def _save(self, item: Item, photo: Photo, restoration: Restoration) -> Saved:
        """Write map and comparison, and the photo last: if it is there, everything is."""
        before = photo if self._treatment.area is None else photo.cropped(*self._treatment.area)
        restored = before.with_pixels(restoration.pixels)
        with ExitStack() as beside:  # goes again if the photo cannot be written
            self._write_beside(item, before, restored, restoration, beside)
            final = self._finished(restored, restoration.model)
            self._write(item, final)
            beside.pop_all()
        if self._pictures is not None:
            self._pictures.keep(item, before, restored)
        return Saved(warnings=final.notes, notes=(final.second_loss,) if final.second_loss else ())

    def _write_beside(
        self,
        item: Item,
        before: Photo,
        restored: Photo,
        restoration: Restoration,
        beside: ExitStack,
    ) -> None:
        """Write map and comparison; what of them is new is taken away when `beside` is closed."""
        may_overwrite = self._may_overwrite or item.replaces
        # What these modules draw with takes 200 ms to import, for which no plain restoration waits.
        if item.map_output is not None and restoration.defocus_map is not None:
            from defocusfix.jobs.map_file import write_map

            with _new_file(item.map_output, beside):
                write_map(
                    restoration.defocus_map,
                    item.map_output,
                    self._treatment.map_format,
                    may_overwrite=may_overwrite,
                )
        if item.comparison_output is not None and self._treatment.comparison is not None:
            from defocusfix.jobs.comparison import write_comparison

            width, height = before.width, before.height
            with _new_file(item.comparison_output, beside):
                write_comparison(
                    before,
                    restored,
                    item.comparison_output,
                    self._treatment.comparison,
                    title=item.name if item.source is None else item.source.name,
                    facts=f"{width} x {height}, restored by {restoration.model}",
                    may_overwrite=may_overwrite,
                )

    def _write(self, item: Item, final: Photo) -> None:
        if item.output is None:
            self._streams.write(encode_photo(final))
        elif item.is_in_place:
            was = self._versions.pop(item.output)
            replace_with_photo(final, item.output, was, backup=item.backup_output)
        else:
            make_folder(item.output.parent)
            may_overwrite = self._may_overwrite or item.replaces
            write_photo(final, item.output, may_overwrite=may_overwrite)

    def _finished(self, restored: Photo, model: str) -> Photo:
        """The restored photo with its metadata and in its format."""
        treatment = self._treatment
        final = restored.reduced(treatment.metadata, keeps_gps=treatment.keeps_gps)
        if treatment.metadata != "none":
            final = final.signed(f"{treatment.program}, {model}")
        target = self._target(final)
        return final if target is None else converted(final, target, quality=treatment.quality)


@contextmanager
def _new_file(path: Path, beside: ExitStack) -> Iterator[None]:
    """Make the folder of a file that is written in this block; if new, it goes with `beside`."""
    make_folder(path.parent)
    is_new = not path.exists()
    yield
    if is_new:
        beside.callback(path.unlink, missing_ok=True)


def output_suffix(treatment: Treatment, source: Path) -> str:
    """The suffix of what a photo is restored to: its own, unless another format is wanted."""
    of_source = format_of(source)
    target = treatment.target or WRITTEN_AS.get(of_source or "")
    file_format = of_source if target is None else FORMATS.get(target, target)
    if file_format is None or file_format == of_source:
        return source.suffix
    return SUFFIXES[file_format][0]


def read_mask(path: Path, limits: Limits) -> FloatImage:
    """The brightness of a picture, (H, W) in [0, 1]. Raises InputError if it cannot be read."""
    picture = read_photo(path, limits=limits)
    return np.ascontiguousarray(picture.to_float().mean(axis=2).clip(0, 1))


def blur_of(defocus_map: DefocusMap) -> Blur:
    """What is told of a map."""
    return Blur(
        share_out_of_focus=defocus_map.share_out_of_focus,
        median_px=defocus_map.percentile(50),
        percentile_95_px=defocus_map.percentile(95),
    )


def method_of(restorer: Restorer, output_bits: int) -> Method:
    """What is told of a restorer."""
    engine = restorer.engine
    return Method(restorer.spec.name, engine.name, engine.device, engine.precision, output_bits)


def _bits_of(target: str | None) -> int:
    return 8 * np.dtype(DTYPES.get(target or "", "uint8")).itemsize


def _check_format_stays(path: Path, treatment: Treatment) -> None:
    """Refuse to put a photo of another format in the place of the one at `path`."""
    if output_suffix(treatment, path) == path.suffix:
        return
    if treatment.target is None:
        why, fix = f"{(format_of(path) or '').upper()} is only read, not written", "--in-place"
    else:
        why = f"its name belongs to another format than --format {treatment.target}"
        fix = "--in-place or --format"
    raise OutputError(f"{path} cannot be restored in place", why=why, fix=f"leave {fix} out")


def _check_suffix(item: Item, photo: Photo, file_format: str) -> None:
    """Refuse an output name that belongs to another format than the output will have."""
    if item.output is None or item.output.suffix.lower() in SUFFIXES[file_format]:
        return
    if item.is_in_place and file_format == photo.format:
        return  # misnamed by whoever made it, and still the same
    renamed = f"a name that ends in {SUFFIXES[file_format][0]}"
    wanted = format_of(item.output)
    raise OutputError(
        f"{item.name} would be saved as {file_format.upper()}, and {item.output.name} is named "
        "otherwise",
        why=f"it is a {photo.format.upper()} photo",
        fix=f"--format {wanted}, or {renamed}" if wanted in TARGETS else renamed,
    )


def _check_area(item: Item, photo: Photo, area: tuple[int, int, int, int]) -> None:
    x, y, width, height = area
    if x + width > photo.width or y + height > photo.height:
        raise InputError(
            f"the area {x},{y},{width},{height} reaches beyond {item.name}",
            why=f"it has {photo.width} x {photo.height} pixels, when it stands upright",
        )


def _check_shape(mask: FloatImage, item: Item, photo: Photo) -> None:
    stretch = (mask.shape[1] / mask.shape[0]) / (photo.width / photo.height)
    if not 1 / LARGEST_STRETCH <= stretch <= LARGEST_STRETCH:
        raise InputError(
            f"the mask does not fit {item.name}",
            why=f"its sides are {mask.shape[1]} x {mask.shape[0]}, "
            f"those of the photo {photo.width} x {photo.height}",
        )
