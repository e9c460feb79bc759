"""What tells whether a file or the settings of a run are still the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from defocusfix.errors import InputError
from defocusfix.jobs.treatment import Treatment
from defocusfix.restoration.settings import RestoreSettings

# What changes neither the pixels nor the files that come out, and what folders, which alone keep a
# journal, cannot have: views.
WITHOUT_EFFECT = frozenset({"program", "limits", "tile", "overlap", "views"})


@dataclass(frozen=True, slots=True)
class FileState:
    """A file at one moment."""

    size: int
    """Bytes."""
    mtime_ns: int
    """Time of the last change, in nanoseconds since 1970."""
    sha256: str | None = None
    """Of the content, in hexadecimal digits; None where nobody has read it."""

    @classmethod
    def of(cls, path: Path) -> FileState:
        """Size and time of a file, without reading it. Raises OSError if there is none."""
        facts = path.stat()
        return cls(facts.st_size, facts.st_mtime_ns)


class PresentFile:
    """A file as it is now, whose content is read once at most, and only if it must be.

    Raises OSError if there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = FileState.of(path)

    def is_as(self, was: FileState | None, *, verifies: bool = False) -> bool:
        """Whether it is as it was: of the same size and time, or else of the same content.

        was: None for no file. verifies: whether the content is compared even then. Raises OSError
        if it cannot be read.
        """
        if was is None or self.state.size != was.size:
            return False
        if self.state.mtime_ns == was.mtime_ns and not (verifies and was.sha256):
            return True
        return was.sha256 is not None and self.read().sha256 == was.sha256

    def read(self) -> FileState:
        """Its state with the sha256 of its content. Raises OSError if it cannot be read."""
        if self.state.sha256 is None:
            self.state = replace(self.state, sha256=sha256_of(self.path))
        return self.state


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settings_fingerprint(
    treatment: Treatment, settings: RestoreSettings, *, model_sha256: str, with_map: bool
) -> str:
    """Equal for two runs that make the same files of the same photos, in hexadecimal digits.

    with_map: whether a defocus map is written besides. Raises InputError if the mask cannot be
    read.
    """
    facts: dict[str, object] = {
        name: _plain(value)
        for name, value in (asdict(settings) | asdict(treatment)).items()
        if name not in WITHOUT_EFFECT
    }
    facts["model_sha256"] = model_sha256.lower()
    facts["map_format"] = treatment.map_format if with_map else None
    if treatment.mask is not None:
        try:
            facts["mask"] = sha256_of(treatment.mask)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(f"{treatment.mask} cannot be read", why=reason) from error
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> object:
    """The same for equal numbers, whether they were given as 1 or as 1.0."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
