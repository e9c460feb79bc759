"""One HTML page on a batch of photos: before and after of each, settings, failures."""

from __future__ import annotations

import heapq
import os
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path

from defocusfix.errors import OutputError, UsageError
from defocusfix.figures.batch_page import MARK, BatchFailure, BatchPhoto, ReportPictures, batch_page
from defocusfix.jobs.clock_time import clock_time
from defocusfix.jobs.events import (
    Event,
    Finished,
    PhotoDone,
    PhotoFailed,
    PhotoSkipped,
    PhotoStarted,
    SkipReason,
    Started,
)
from defocusfix.jobs.files import make_folder
from defocusfix.jobs.folders import STATE_FOLDER, natural_order
from defocusfix.jobs.journal import Row
from defocusfix.jobs.plan import Item
from defocusfix.jobs.report_pictures import PictureStore
from defocusfix.jobs.tally import Tally
from defocusfix.jobs.treatment import Treatment
from defocusfix.photo.limits import DEFAULT, Limits
from defocusfix.photo.safe_write import check_writable, new_file
from defocusfix.restoration.settings import RestoreSettings, Scale

MOST_PHOTOS = 2000  # on a page; with more of them browsers become slow
MOST_FAILURES = 2000
MARK_WITHIN = 2000  # bytes at the beginning of a page that hold its mark
SUFFIXES = (".html", ".htm")
FINEST_SIZES: dict[Scale, str] = {"auto": "as the blur needs", 1: "full", 2: "half", 4: "a quarter"}
Facts = Sequence[tuple[str, str]]


def nothing_known(item: Item) -> Row | None:
    """What is known of any photo where nobody keeps a journal."""
    return None


def check_report_place(path: Path) -> None:
    """Refuse, before any work, a place for a page that cannot be or is taken by something else.

    A page that this program wrote may be written again. Raises UsageError if the name is not one
    of a page, OutputError if something else is there or the folder cannot be written to.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"the report is an HTML page, and {path.name} is named otherwise",
            fix=f"--report {path.with_suffix('.html')}",
        )
    if os.path.lexists(path) and not _is_page(path):
        raise OutputError(
            f"{path} exists already and is not a report", fix="choose another name for --report"
        )
    check_writable(path)


@contextmanager
def picture_store(home: Path | None) -> Iterator[PictureStore]:
    """Where the pictures for a page are kept.

    home: the folder that keeps the journal, where later runs find them; None keeps them until the
    block is left.
    """
    if home is not None:
        yield PictureStore(home / STATE_FOLDER / "report")
        return
    with tempfile.TemporaryDirectory(prefix="defocusfix-") as folder:
        yield PictureStore(Path(folder))


def settings_facts(treatment: Treatment, settings: RestoreSettings) -> list[tuple[str, str]]:
    """The settings of a run in words, for a page."""
    kept, protected = settings.keep_bokeh_px, settings.protect_sharp
    facts = [
        ("Strength", f"{settings.strength:g}"),
        ("Protect sharp", f"below {protected:g} px" if protected else "no"),
        ("Keep bokeh", "no" if kept is None else f"from a radius of {kept:g} px"),
        ("Finest size", FINEST_SIZES[settings.scale]),
        ("Best of four views", "yes" if settings.mirrored else "no"),
        ("Format", treatment.target or "that of the photo"),
        ("Quality", "that of the photo" if treatment.quality is None else str(treatment.quality)),
        ("Metadata", treatment.metadata + ("" if treatment.keeps_gps else ", without place")),
    ]
    if treatment.mask is not None:
        facts.append(("Mask", str(treatment.mask)))
    if treatment.area is not None:
        facts.append(("Area", ",".join(map(str, treatment.area))))
    return facts


@dataclass(frozen=True, slots=True)
class _Entry:
    """A photo that is done."""

    item: Item
    seconds: float | None
    share_out_of_focus: float | None
    warnings: tuple[str, ...]


@dataclass(slots=True)
class BatchReport:
    """Listens to the events of a run, or of several, and writes the page at the end.

    Of more than `MOST_PHOTOS` photos it keeps those with warnings and those most out of focus, so
    that it needs no more memory for more of them.
    """

    path: Path
    """Of the page."""
    store: PictureStore
    settings: Facts
    """What was wished, in words; see `settings_facts`."""
    earlier: Callable[[Item], Row | None] = nothing_known
    """What the journal knows of a photo that needed no work; None for nothing."""
    limits: Limits = field(default=DEFAULT)
    """How large photos may be whose pictures must be made anew."""
    _program: str = ""
    _methods: dict[str, None] = field(default_factory=dict)
    _photos: list[tuple[tuple[bool, float, int], _Entry]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(0, -1))
    _n_photos: int = 0
    _failures: list[PhotoFailed] = field(default_factory=list)
    _n_failed: int = 0
    _warnings: Tally = field(default_factory=Tally)
    _finished: list[Finished] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        """Take note of one event."""
        match event:
            case Started():
                self._program = event.program
                for item in event.items:
                    if item.is_skipped:
                        self._add_earlier(item)
            case PhotoStarted(method=method):
                words = f"{method.model}, {method.engine} on {method.device} in {method.precision}"
                self._methods[words] = None
            case PhotoDone(blur=blur):
                share = None if blur is None else blur.share_out_of_focus
                self._add(_Entry(event.item, event.seconds, share, event.warnings))
            case PhotoSkipped() if event.reason is not SkipReason.CLAIMED:
                self._add_earlier(event.item)
            case PhotoFailed():
                self._n_failed += 1
                if len(self._failures) < MOST_FAILURES:
                    self._failures.append(event)
            case Finished():
                self._finished.append(event)

    @property
    def n_shown(self) -> int:
        """Photos that the page will show."""
        return len(self._photos)

    def write(self, advance: Callable[[], None] = lambda: None) -> None:
        """Write the page. Raises OutputError if that is not possible.

        advance: called after each of the `n_shown` photos. One whose pictures were not kept takes
        a second or two: they are made of its files.
        """
        make_folder(self.path.parent)
        with new_file(self.path, may_overwrite=True) as file:
            for piece in self._page(advance):
                file.write(piece.encode())

    def _add_earlier(self, item: Item) -> None:
        row = self.earlier(item)
        if row is None:
            self._add(_Entry(item, None, None, ()))
        else:
            self._add(_Entry(item, row.seconds, row.blur, row.warnings))

    def _add(self, entry: _Entry) -> None:
        self._n_photos += 1
        for warning in entry.warnings:
            self._warnings.add(warning, _name(entry.item))
        # The number makes earlier ones stay, and entries themselves are never compared.
        rank = (bool(entry.warnings), entry.share_out_of_focus or 0.0, next(self._numbers))
        if len(self._photos) < MOST_PHOTOS:
            heapq.heappush(self._photos, (rank, entry))
        else:
            heapq.heappushpop(self._photos, (rank, entry))

    def _page(self, advance: Callable[[], None]) -> Iterator[str]:
        folder = self.path.parent.resolve()
        entries = sorted(
            (entry for _, entry in self._photos), key=lambda e: natural_order(_name(e.item))
        )
        return batch_page(
            title="Restored photos",
            facts=self._facts(),
            settings=self.settings,
            remarks=self._remarks(),
            kinds=[(kind.text, kind.n_photos) for kind in self._warnings],
            failures=[_failure(failed, folder) for failed in self._failures],
            photos=self._shown(entries, folder, advance),
        )

    def _shown(
        self, entries: Sequence[_Entry], folder: Path, advance: Callable[[], None]
    ) -> Iterator[BatchPhoto]:
        for entry in entries:
            pictures = self.store.of(entry.item, self.limits)
            yield BatchPhoto(
                name=_name(entry.item),
                facts=_entry_facts(entry, pictures),
                warnings=entry.warnings,
                share_out_of_focus=entry.share_out_of_focus,
                seconds=entry.seconds,
                links=_links(entry.item, folder),
                pictures=pictures,
            )
            advance()

    def _facts(self) -> list[tuple[str, str]]:
        seconds = sum(finished.seconds for finished in self._finished)
        megapixels = sum(finished.megapixels for finished in self._finished)
        others = {
            "Needed no work": sum(finished.n_skipped for finished in self._finished),
            "Failed": self._n_failed,
            "Done by another run": sum(finished.n_claimed for finished in self._finished),
            "Not begun": sum(finished.n_left for finished in self._finished),
        }
        return [
            ("Restored", f"{sum(finished.n_done for finished in self._finished):,} photos"),
            *((label, f"{number:,} photos") for label, number in others.items() if number),
            ("Megapixels", f"{megapixels:,.0f}"),
            ("Speed", f"{megapixels / max(seconds, 1e-3):.3g} MP/s"),
            ("Time", clock_time(seconds)),
            ("Model", "; ".join(self._methods) or "not needed"),
            ("Program", self._program),
            ("Finished", datetime.now().astimezone().strftime("%d %B %Y, %H:%M %z")),
        ]

    def _remarks(self) -> list[str]:
        remarks = []
        if self._n_photos > len(self._photos):
            remarks.append(
                f"Of {self._n_photos:,} photos, this page shows the {len(self._photos):,} with "
                "warnings or the largest share out of focus."
            )
        if self._n_failed > len(self._failures):
            remarks.append(
                f"Of {self._n_failed:,} failures, the first {len(self._failures):,} are listed; "
                "the journal has all."
            )
        return remarks


def _is_page(path: Path) -> bool:
    """Whether there is a page of ours at `path`."""
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(MARK_WITHIN)
    except OSError:
        return False


def _name(item: Item) -> str:
    return item.key or item.name


def _entry_facts(entry: _Entry, pictures: ReportPictures | None) -> list[str]:
    facts = []
    if pictures is not None:
        height, width = pictures.size
        facts.append(f"{width} x {height}")
    if entry.share_out_of_focus is not None:
        facts.append(f"{entry.share_out_of_focus:.0%} out of focus")
    if entry.seconds is not None:
        facts.append(f"{entry.seconds:.1f} s")
    return facts


def _links(item: Item, folder: Path) -> list[tuple[str, str]]:
    before = item.backup_output if item.is_in_place else item.source
    paths = (("before", before), ("restored", item.output))
    return [(words, _address(path, folder)) for words, path in paths if path is not None]


def _failure(failed: PhotoFailed, folder: Path) -> BatchFailure:
    source = failed.item.source
    reason = "\n".join(filter(None, (failed.error.what, failed.error.why)))
    link = "" if source is None else _address(source, folder)
    return BatchFailure(_name(failed.item), reason, link)


def _address(path: Path, folder: Path) -> str:
    """Where a file is, seen from `folder`, as a link says it."""
    try:
        relative = Path(os.path.relpath(path.resolve(), folder))
    except ValueError:  # another drive
        return path.resolve().as_uri()
    # A colon in a first part without ./ would read as a scheme.
    return "./" + urllib.parse.quote(os.fsencode(relative.as_posix()))
