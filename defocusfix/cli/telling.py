"""How a run is told while it goes on: bars, and a line for each photo, or JSON for programs."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from defocusfix.cli import output
from defocusfix.cli.batch_progress import BatchDisplay, track_batch
from defocusfix.cli.progress import Advance, track
from defocusfix.cli.summary import reason_of, summary
from defocusfix.errors import PartialError
from defocusfix.jobs.events import (
    Event,
    Finished,
    Method,
    PhotoDone,
    PhotoFailed,
    PhotoSkipped,
    PhotoStarted,
    Progress,
    SkipReason,
    Started,
)
from defocusfix.jobs.plan import Item
from defocusfix.jobs.tally import Kind, Tally

FULL_PRECISION = "fp32"
LONGEST_NAME = 28  # characters of a photo's name beside a bar
MOST_TOLD_EACH = 20  # photos of a batch that get a line each without --verbose
MOST_NAMES = 20  # in an error about several photos
SIZES = {
    1: "full size",
    2: "half size",
    4: "quarter size",
    8: "an eighth of the size",
    0: "left as it was",
}
SKIPPED = {
    SkipReason.DONE: "done before",
    SkipReason.EXISTS: "there already",
    SkipReason.CLAIMED: "being done by another run",
}


@dataclass(slots=True)
class Teller:
    """Tells of the events of a run, or of several in turn, on stderr, or as JSON on stdout.

    A single photo gets a bar and a line. A batch gets a bar for all and one for the present photo,
    a line for each photo if there are few or --verbose was given, and a summary at the end, in
    which each kind of warning stands once. What is kept until then does not grow with the photos.

    verb: what is done to each photo, as in "Restoring". demands: what `demanded` found; the rest is
    chosen here. megapixels: of all photos together; None if that is not known. details: what holds
    the failures that the screen has no room for, such as the report or the folder of the journal;
    None if nothing does.
    """

    verb: str
    demands: frozenset[str]
    as_json: bool
    megapixels: float | None = None
    details: Path | None = None
    _n_photos: int = 0
    _tells_each: bool = True
    _bars: ExitStack = field(default_factory=ExitStack)
    _advance: Advance | None = None  # the bar of a single photo
    _batch: BatchDisplay | None = None
    _megapixels: float = 0.0
    _under_way: dict[Item, float] = field(default_factory=dict)  # computed or saved: megapixels
    _begun_last: Item | None = None
    _skipped: Counter[SkipReason] = field(default_factory=Counter)
    _methods: set[str] = field(default_factory=set)
    _warnings: Tally = field(default_factory=Tally)
    _notes: Tally = field(default_factory=Tally)

    def __call__(self, event: Event) -> None:
        """Tell of one event."""
        if self.as_json:
            output.data_json(event.to_json())
            return
        match event:
            case Started():
                self._start(event)
            case PhotoStarted():
                self._begin(event)
            case Progress():
                self._go_on(event)
            case PhotoDone():
                self._end(event)
            case PhotoSkipped():
                self._skip(event.item, event.reason)
                self._settle(event.item)
            case PhotoFailed():
                self._fail(event)
            case Finished():
                self.close()
                self._finish(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bars away."""
        self._advance = self._batch = None
        self._bars.close()

    def _start(self, event: Started) -> None:
        self._n_photos = len(event.items)
        self._tells_each = self._n_photos <= MOST_TOLD_EACH or output.is_verbose()
        self._skipped, self._warnings, self._notes = Counter(), Tally(), Tally()
        self._under_way.clear()
        is_batch = self._n_photos > 1 and any(not item.is_skipped for item in event.items)
        if is_batch:
            bars = track_batch(self.verb, self._n_photos, self.megapixels)
            self._batch = self._bars.enter_context(bars)
        for item in event.items:
            if item.is_skipped:
                self._skip(item, SkipReason.EXISTS)
                self._settle(item)

    def _begin(self, event: PhotoStarted) -> None:
        name = event.item.name if event.item.source is None else event.item.source.name
        words = self._in_words(event.method)
        if self._tells_each:
            output.detail(f"{event.item.name}: {words}")
        elif words not in self._methods:
            output.say(words)
        self._methods.add(words)
        self._under_way[event.item] = event.megapixels
        self._begun_last = event.item
        self._megapixels = event.megapixels
        if self._batch is not None:
            self._batch.begin(_shortened(name), event.megapixels)
        elif self._n_photos <= 1:
            self._advance = self._bars.enter_context(track(self.verb, event.megapixels, "MP"))

    def _go_on(self, event: Progress) -> None:
        if self._batch is not None and event.item == self._begun_last:
            self._batch.advance(event.share)
        elif self._batch is not None:
            self._batch.aside(event.share, self._under_way.get(event.item, 0.0))
        elif self._advance is not None:
            self._advance(event.share * self._megapixels)

    def _skip(self, item: Item, reason: SkipReason) -> None:
        self._skipped[reason] += 1
        if self._tells_each:
            shown = item.output if reason is SkipReason.EXISTS else item.name
            output.say(f"{shown} is {SKIPPED[reason]}")

    def _fail(self, event: PhotoFailed) -> None:
        if self._n_photos <= 1:
            self.close()
        elif self._tells_each:
            output.warn(str(event.error))
        self._settle(event.item, has_failed=True)

    def _settle(self, item: Item, *, has_failed: bool = False) -> None:
        """Count a photo that needs nothing more."""
        was_begun = self._under_way.pop(item, None) is not None
        if self._batch is not None:
            self._batch.settle(was_begun=was_begun, has_failed=has_failed)

    def _end(self, event: PhotoDone) -> None:
        if self._n_photos <= 1:
            self.close()
        self._settle(event.item)
        if self._tells_each:
            self._tell_done(event)
        for warning in event.warnings:
            self._warnings.add(warning, _called(event.item))
        for note in event.notes:
            self._notes.add(note, _called(event.item))

    def _tell_done(self, event: PhotoDone) -> None:
        picture, seconds = event.picture, event.seconds
        facts = [
            f"{picture.width} x {picture.height} ({picture.megapixels:.1f} MP), {picture.bits}-bit",
            self._in_words(event.method),
            f"{seconds:.1f} s, {event.megapixels / max(seconds, 1e-3):.2g} MP/s",
        ]
        if event.blur is not None:
            facts.append(f"{event.blur.share_out_of_focus:.0%} was out of focus")
        output.say(f"{event.item.output or 'standard output'}: {'; '.join(facts)}")
        for path in event.item.outputs:
            if path != event.item.output:
                output.detail(f"{path}: written too")
        if event.scales:
            output.detail("computed: " + ", ".join(_share(*part) for part in event.scales.items()))

    def _in_words(self, method: Method) -> str:
        """What computes, and why that and nothing else."""
        reason = "fastest here"
        if self.demands:
            reason = f"fastest with the {' and '.join(sorted(self.demands))} demanded"
        if "precision" in self.demands:
            reason = "as demanded"
        elif method.precision != FULL_PRECISION:
            reason += f", enough for {method.output_bits}-bit output"
        elif method.output_bits > 8:
            reason += f" for {method.output_bits}-bit output"
        return (
            f"{method.model}, {method.engine} on {method.device} in {method.precision} ({reason})"
        )

    def _finish(self, event: Finished) -> None:
        """Say each kind of warning once, with photos it is true of, and what became of all."""
        for kind in self._warnings:
            output.warn(_of_photos(kind))
        for kind in self._notes:
            output.say(f"note: {_of_photos(kind)}")
        if self._n_photos > 1:
            for line in summary(event, self._skipped):
                output.say(line)
        if self._n_photos > MOST_TOLD_EACH:
            self._list_failures(event.failed)

    def _list_failures(self, failed: tuple[PhotoFailed, ...]) -> None:
        for failure in failed[:MOST_TOLD_EACH]:
            output.say(f"  {reason_of(failure)}")
        n_more = len(failed) - MOST_TOLD_EACH
        if n_more > 0:
            place = "" if self.details is None else f"; {self.details} has all"
            output.say(f"  and {n_more:,} more{place}")


def demanded(*, engine: str, device: str, precision: str) -> frozenset[str]:
    """Which of these were asked for, by name, and not left to be chosen."""
    asked = {"engine": engine, "device": device, "precision": precision}
    return frozenset(name for name, value in asked.items() if value != "auto")


def raise_what_failed(
    finished: Finished,
    n_photos: int,
    done_to: str,
    *,
    fix: str = "the others are done; --on-exists skip leaves them out next time",
) -> None:
    """Raise for photos that failed: PartialError if others are done, else of the first one's class.

    done_to: what could not be done to them, as in "restored". fix: what to try if some failed.
    """
    failed = finished.failed
    if not failed:
        return
    if n_photos == 1:
        raise failed[0].error
    names = [_called(failure.item) for failure in failed[:MOST_NAMES]]
    n_more = len(failed) - len(names)
    why = ", ".join(names) + (f" and {n_more:,} more" if n_more else "")
    if len(failed) < n_photos:
        raise PartialError(
            f"{len(failed)} of {n_photos} photos could not be {done_to}", why=why, fix=fix
        )
    raise type(failed[0].error)(f"none of the {n_photos} photos could be {done_to}", why=why)


def _of_photos(kind: Kind) -> str:
    """What was said, behind the photos it was said of."""
    names = ", ".join(kind.names)
    if kind.n_photos == len(kind.names):
        return f"{names}: {kind.text}"
    return f"{kind.n_photos:,} photos ({names}, ...): {kind.text}"


def _called(item: Item) -> str:
    """What a photo is called in a batch."""
    return item.key or item.name


def _shortened(name: str) -> str:
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME // 2]}...{name[-(LONGEST_NAME // 2 - 3) :]}"


def _share(factor: int, share: float) -> str:
    return f"{share:.0%} {SIZES.get(factor, f'1/{factor} size')}"
