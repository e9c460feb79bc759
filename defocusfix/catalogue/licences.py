"""Terms of weights: shown before the first use, accepted once where they restrict, remembered."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from defocusfix.catalogue.entries import CatalogueEntry
from defocusfix.catalogue.places import settings_folder
from defocusfix.errors import OutputError

FILE = "licences.json"
GAIN = {
    "yes": "commercial use: yes",
    "no": "no commercial use",
    "unclear": "commercial use: unclear, nobody says",
}


def in_one_line(entry: CatalogueEntry) -> str:
    """Name of the licence, whether commercial use is allowed, and where its text is."""
    licence = entry.licence
    return f"{licence.name}, {GAIN[licence.commercial]}, {licence.url}"


def is_known(entry: CatalogueEntry) -> bool:
    """Whether the user has seen these terms, and accepted them where they must be."""
    return _remembered().get(entry.id) == _fingerprint(entry)


def remember(entry: CatalogueEntry) -> None:
    """Note that the terms were shown, and accepted where they must be.

    Where nothing can be written they will be shown again; but raises OutputError if an acceptance
    cannot be noted.
    """
    file = settings_folder() / FILE
    known = {**_remembered(), entry.id: _fingerprint(entry)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{FILE}.")
        with os.fdopen(handle, "w", encoding="utf-8") as temporary:
            json.dump(known, temporary, indent=1)
        Path(name).replace(file)
    except OSError as error:
        if entry.licence.must_accept:
            raise OutputError(
                "it cannot be noted that the terms were accepted",
                why=f"{file}: {error.strerror or error}",
                fix="name a folder for settings in XDG_CONFIG_HOME",
            ) from error


def _remembered() -> dict[str, str]:
    try:
        found = json.loads((settings_folder() / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _fingerprint(entry: CatalogueEntry) -> str:
    """Changes with the terms, so that changed ones are shown again."""
    licence = entry.licence
    text = "\n".join((licence.name, licence.url, licence.commercial, licence.terms))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
