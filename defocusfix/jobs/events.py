"""What happens while a plan is carried out, as data; this file is the schema of `--json`.

Every event is one JSON object on one line with `schema`, raised whenever a key changes its meaning
or goes away, and `event`. New keys and new events may come at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
        return _stamped(
            self.event,
            {"program": self.program, "photos": [_files(item) for item in self.items]},
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
        facts = {**_files(self.item), **self.picture.to_json(), **self.method.to_json()}
        return _stamped(self.event, facts)


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
        return _stamped(self.event, {"input": self.item.name, "done": round(self.done, 4)})


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
    """Share of the pixels by the finest size computed for them: 1 full, 2 half, 4 a quarter, 0
    left alone."""
    warnings: tuple[str, ...]
    """What could not be carried along or went other than planned."""
    notes: tuple[str, ...]
    """What is as it must be and still good to know."""

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object."""
        return _stamped(
            self.event,
            {
                **_files(self.item),
                **self.picture.to_json(),
                **self.method.to_json(),
                "seconds": round(self.seconds, 3),
                **({} if self.blur is None else self.blur.to_json()),
                "scales": {str(factor): share for factor, share in self.scales.items()},
                "warnings": list(self.warnings),
                "notes": list(self.notes),
            },
        )


@dataclass(frozen=True, slots=True)
class PhotoFailed:
    """A photo could not be read, restored or saved; the next one is begun."""

    event: ClassVar[str] = "photo_failed"

    item: Item
    error: DefocusfixError

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object."""
        return _stamped(self.event, {"input": self.item.name, **error_to_json(self.error)})


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event: what became of all photos."""

    event: ClassVar[str] = "summary"

    n_done: int
    n_skipped: int
    failed: tuple[PhotoFailed, ...]
    seconds: float

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object."""
        return _stamped(
            self.event,
            {
                "done": self.n_done,
                "skipped": self.n_skipped,
                "failed": len(self.failed),
                "seconds": round(self.seconds, 3),
            },
        )


Event = Started | PhotoStarted | Progress | PhotoDone | PhotoFailed | Finished


def error_to_json(error: DefocusfixError) -> dict[str, object]:
    """What happened, why and what to try, for an event."""
    return {
        "error": type(error).__name__,
        "exit_code": error.exit_code,
        "what": error.what,
        "why": error.why,
        "try": error.fix,
    }


def _stamped(event: str, facts: Mapping[str, object]) -> dict[str, object]:
    return {"schema": SCHEMA, "event": event, **facts}


def _files(item: Item) -> dict[str, object]:
    """The files of an item; standard input and output are "-"."""
    files = {"input": _path(item.source), "output": _path(item.output)}
    if item.map_output is not None:
        files["map"] = _path(item.map_output)
    if item.comparison_output is not None:
        files["comparison"] = _path(item.comparison_output)
    return {**files, **({"skipped": True} if item.is_skipped else {})}


def _path(path: Path | None) -> str:
    return "-" if path is None else str(path)
