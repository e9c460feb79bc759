"""How a run is told while it goes on: a bar and a line for each photo, or JSON for programs."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NoReturn, Self

from defocusfix.cli import output
from defocusfix.cli.progress import Advance, track
from defocusfix.errors import PartialError
from defocusfix.jobs.events import (
    Event,
    Finished,
    Method,
    PhotoDone,
    PhotoFailed,
    PhotoStarted,
    Progress,
    Started,
)

FULL_PRECISION = "fp32"
LONGEST_NAME = 28  # characters of a photo's name beside a bar
MOST_NAMES = 3  # named in a note that is true of several photos
SIZES = {1: "full size", 2: "half size", 4: "quarter size", 0: "left as it was"}


@dataclass(slots=True)
class Teller:
    """Tells of the events of one run, as text on stderr or as JSON on stdout.

    verb: what is done to each photo, as in "Restoring". is_demanded: whether engine, device or
    precision were asked for, or else chosen here.
    """

    verb: str
    is_demanded: bool
    as_json: bool
    _n_photos: int = 0
    _n_begun: int = 0
    _bars: ExitStack = field(default_factory=ExitStack)
    _advance: Advance | None = None
    _megapixels: float = 0.0
    _said: dict[str, list[str]] = field(default_factory=dict)

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
            case Progress() if self._advance is not None:
                self._advance(event.share * self._megapixels)
            case PhotoDone():
                self._end(event)
            case PhotoFailed():
                self.close()
                if self._n_photos > 1:
                    output.warn(str(event.error))
            case Finished():
                self.close()
                self._tell_notes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        self._advance = None
        self._bars.close()

    def _start(self, event: Started) -> None:
        self._n_photos = len(event.items)
        for item in event.items:
            if item.is_skipped:
                output.say(f"{item.output} is there already")

    def _begin(self, event: PhotoStarted) -> None:
        self.close()
        self._n_begun += 1
        self._megapixels = event.megapixels
        label = self.verb
        if self._n_photos > 1:
            name = event.item.name if event.item.source is None else event.item.source.name
            label += f" {_shortened(name)} ({self._n_begun} of {self._n_photos})"
        output.detail(f"{event.item.name}: {self._in_words(event.method)}")
        self._advance = self._bars.enter_context(track(label, event.megapixels, "MP"))

    def _end(self, event: PhotoDone) -> None:
        if self._n_begun == self._n_photos:
            self.close()
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
        for warning in event.warnings:
            self._said.setdefault(f"warning: {warning}", []).append(event.item.name)
        for note in event.notes:
            self._said.setdefault(f"note: {note}", []).append(event.item.name)

    def _in_words(self, method: Method) -> str:
        """What computes, and why that and nothing else."""
        if self.is_demanded:
            reason = "as demanded"
        elif method.precision != FULL_PRECISION:
            reason = f"fastest here, enough for {method.output_bits}-bit output"
        elif method.output_bits > 8:
            reason = f"fastest here for {method.output_bits}-bit output"
        else:
            reason = "fastest here"
        return (
            f"{method.model}, {method.engine} on {method.device} in {method.precision} ({reason})"
        )

    def _tell_notes(self) -> None:
        """Say each note once, with the photos it is true of."""
        for text, names in self._said.items():
            kind, _, words = text.partition(": ")
            others = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            whole = f"{', '.join(names[:MOST_NAMES])}{others}: {words}"
            if kind == "warning":
                output.warn(whole)
            else:
                output.say(f"note: {whole}")


def raise_what_failed(finished: Finished, n_photos: int, done_to: str) -> None:
    """Raise for photos that failed: PartialError if others are done, else of the first one's class.

    done_to: what could not be done to them, as in "restored".
    """
    failed = finished.failed
    if not failed:
        return
    if n_photos == 1:
        raise failed[0].error
    _raise_for_many(finished, n_photos, done_to)


def _raise_for_many(finished: Finished, n_photos: int, done_to: str) -> NoReturn:
    failed = finished.failed
    names = ", ".join(failure.item.name for failure in failed)
    if len(failed) < n_photos:
        raise PartialError(
            f"{len(failed)} of {n_photos} photos could not be {done_to}",
            why=names,
            fix="the others are done; --on-exists skip leaves them out next time",
        )
    raise type(failed[0].error)(f"none of the {n_photos} photos could be {done_to}", why=names)


def _shortened(name: str) -> str:
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME // 2]}...{name[-(LONGEST_NAME // 2 - 3) :]}"


def _share(factor: int, share: float) -> str:
    return f"{share:.0%} {SIZES.get(factor, f'1/{factor} size')}"
