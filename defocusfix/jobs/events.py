"""What happens while a plan is carried out, as data; this file is the schema of `--json`.

`docs/json-events.md` explains every key, and a test holds it to what is written here.

Every event is one JSON object on one line with `schema`, raised whenever a key changes its meaning
or goes away, and `event`. New keys and new events may come at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import ClassVar

from defocusfix.errors import DefocusfixError
from defocusfix.jobs.plan import Item

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Method:
    """By what a photo is restored."""

    model: str
    engine: str
    """Library that computes, with its version."""
    device: str
    precision: str
    output_bits: int
    """Bits of the output, on which it depends how exact the arithmetic must be."""

    def to_json(self) -> dict[str, object]:
        """Keys of an event."""
        return {
            "model": self.model,
            "engine": self.engine,
            "device": self.device,
            "precision": self.precision,
            "output_bits": self.output_bits,
        }


@dataclass(frozen=True, slots=True)
class Picture:
    """The photo as it was read."""

    width: int
    height: int
    bits: int
    """Bits per channel: 8, 16, or 32 for floating point."""
    format: str

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.width * self.height / 1e6

    def to_json(self) -> dict[str, object]:
        """Keys of an event."""
        return {
            "width": self.width,
            "height": self.height,
            "bits": self.bits,
            "format": self.format,
        }


@dataclass(frozen=True, slots=True)
class Blur:
    """How much of a photo is out of focus."""

    share_out_of_focus: float
    """0 to 1."""
    median_px: float
    percentile_95_px: float

    def to_json(self) -> dict[str, object]:
        """Keys of an event."""
        return {
            "share_out_of_focus": self.share_out_of_focus,
            "radius_px": {"median": self.median_px, "percentile_95": self.percentile_95_px},
        }


@dataclass(frozen=True, slots=True)
class Started:
    """The first event: what will be done."""

    event: ClassVar[str] = "start"

    program: str
    items: tuple[Item, ...]

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object."""
        return stamped(
            self.event,
            {"program": self.program, "photos": [files_told(item) for item in self.items]},
        )


@dataclass(frozen=True, slots=True)
class PhotoStarted:
    """A photo has been read and its first tile comes next."""

    event: ClassVar[str] = "photo_start"

    item: Item
    picture: Picture
    megapixels: float
    """To be computed: the whole photo, or the area that was asked for."""
    method: Method

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object."""
        facts = {**files_told(self.item), **self.picture.to_json(), **self.method.to_json()}
        return stamped(self.event, facts)


@dataclass(frozen=True, slots=True)
class Progress:
    """A tile is done."""

    event: ClassVar[str] = "progress"

    item: Item
    share: float
    """Of this photo's work, 0 to 1, that has been done since the last such event."""
    done: float
    """Of this photo's work, all in all."""

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object."""
        return stamped(self.event, {"input": self.item.name, "done": round(self.done, 4)})


@dataclass(frozen=True, slots=True)
class PhotoDone:
    """A photo has been saved, and all that goes with it."""

    event: ClassVar[str] = "photo_done"

    item: Item
    picture: Picture
    method: Method
    seconds: float
    """From file to file."""
    megapixels: float
    """That were computed."""
    blur: Blur | None
    """None if the network gives no map."""
    scales: Mapping[int, float]
    """Share of the pixels by the finest size computed for them: 1 full, 2 half, 4 a quarter, 8
    an eighth, 0 left alone."""
    warnings: tuple[str, ...]
    """What could not be carried along or went other than planned."""
    notes: tuple[str, ...]
    """What is as it must be and still good to know."""

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object."""
        return stamped(
            self.event,
            {
                **files_told(self.item),
                **self.picture.to_json(),
                **self.method.to_json(),
                "seconds": round(self.seconds, 3),
                **({} if self.blur is None else self.blur.to_json()),
                "scales": {str(factor): share for factor, share in self.scales.items()},
                "warnings": list(self.warnings),
                "notes": list(self.notes),
            },
        )


class SkipReason(Enum):
    """Why a photo needs no work."""

    DONE = "done"
    """An earlier run finished it, or another one just now; photo, settings and output are the
    same since."""
    EXISTS = "exists"
    """There is an output that the journal does not know, and it stays."""
    CLAIMED = "claimed"
    """Another run is at it."""


@dataclass(frozen=True, slots=True)
class PhotoSkipped:
    """A photo was left as it is, when its turn came."""

    event: ClassVar[str] = "photo_skipped"

    item: Item
    reason: SkipReason

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object."""
        return stamped(self.event, {**files_told(self.item), "reason": self.reason.value})


@dataclass(frozen=True, slots=True)
class PhotoFailed:
    """A photo could not be read, restored or saved; the next one is begun."""

    event: ClassVar[str] = "photo_failed"

    item: Item
    error: DefocusfixError
    is_earlier: bool = False
    """Whether it failed in an earlier run and was not tried again."""

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object."""
        facts = {"input": self.item.name, **error_to_json(self.error)}
        return stamped(self.event, {**facts, **({"earlier": True} if self.is_earlier else {})})


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event: what became of all photos."""

    event: ClassVar[str] = "summary"

    n_done: int
    n_skipped: int
    """Needed no work, because they were done or their output was there."""
    failed: tuple[PhotoFailed, ...]
    """Now, or in an earlier run and not tried again."""
    seconds: float
    n_claimed: int = 0
    """Left to another run that was at them to the end."""
    n_left: int = 0
    """Not begun or not finished, because the run was stopped."""
    megapixels: float = 0.0
    """Computed for all that are done."""

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object."""
        return stamped(
            self.event,
            {
                "done": self.n_done,
                "skipped": self.n_skipped,
                "claimed": self.n_claimed,
                "failed": len(self.failed),
                "left": self.n_left,
                "megapixels": round(self.megapixels, 3),
                "seconds": round(self.seconds, 3),
            },
        )


Settled = PhotoSkipped | PhotoFailed
"""What is told of a photo that needs no work in this run."""
Event = Started | PhotoStarted | Progress | PhotoDone | PhotoSkipped | PhotoFailed | Finished


def error_to_json(error: DefocusfixError) -> dict[str, object]:
    """What happened, why and what to try, for an event."""
    return {
        "error": type(error).__name__,
        "exit_code": error.exit_code,
        "what": error.what,
        "why": error.why,
        "try": error.fix,
    }


def stamped(event: str, facts: Mapping[str, object]) -> dict[str, object]:
    """The facts of an event as one JSON object."""
    return {"schema": SCHEMA, "event": event, **facts}


def files_told(item: Item) -> dict[str, object]:
    """The files of an item; standard input and output are "-"."""
    files = {"input": _path(item.source), "output": _path(item.output)}
    if item.map_output is not None:
        files["map"] = _path(item.map_output)
    if item.comparison_output is not None:
        files["comparison"] = _path(item.comparison_output)
    if item.backup_output is not None:
        files["backup"] = _path(item.backup_output)
    return {**files, **({"skipped": True} if item.is_skipped else {})}


def _path(path: Path | None) -> str:
    return "-" if path is None else str(path)
