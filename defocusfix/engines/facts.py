"""What is known of a file of weights from elsewhere, in a small file beside it.

Our own files carry their facts inside. A file of others stays as it came, so that its checksum can
be compared, and its facts lie beside it: one JSON object with the entries of
`NetworkSpec.to_metadata`, the checksum under `sha256`, and the graph's own names for its inputs and
outputs under `graph_inputs` and `graph_outputs`, in the order of the spec.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from defocusfix.errors import ModelError, OutputError
from defocusfix.network_spec import NetworkSpec

ENDING = ".defocusfix.json"
LARGEST_FACTS = 1_000_000  # bytes
BRING_AGAIN = "fetch or import it again: defocusfix models list"


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything known of a file of others."""

    spec: NetworkSpec
    sha256: str
    """Of the file, in hexadecimal."""
    graph_inputs: tuple[str, ...] = ()
    """The graph's own names for `spec.inputs`; empty where they can be told without, or where the
    file holds no graph."""
    graph_outputs: tuple[str, ...] = ()
    """The same for `spec.outputs`."""


def facts_file(path: Path) -> Path:
    """Where the facts of a file of others lie."""
    return path.with_name(path.name + ENDING)


def read_facts(path: Path) -> Facts | None:
    """What lies beside a file of weights; None if nothing does.

    Raises ModelError if it cannot be understood.
    """
    beside = facts_file(path)
    if not beside.is_file():
        return None
    try:
        with beside.open("rb") as file:
            entries = json.loads(file.read(LARGEST_FACTS))
        if not isinstance(entries, dict):
            raise ValueError("it is no JSON object")
        texts = {str(key): value for key, value in entries.items() if isinstance(value, str)}
        if "sha256" not in texts:
            raise ValueError("it lacks the checksum")
        return Facts(
            NetworkSpec.from_metadata(texts),
            texts["sha256"].lower(),
            _names(entries.get("graph_inputs", [])),
            _names(entries.get("graph_outputs", [])),
        )
    except (OSError, ValueError, RecursionError, ModelError) as error:
        why = error.what if isinstance(error, ModelError) else str(error)
        raise ModelError(
            f"{beside.name} does not say what {path.name} is", why=why, fix=BRING_AGAIN
        ) from error


def write_facts_file(path: Path, facts: Facts) -> Path:
    """Put facts beside a file of weights, whole or not at all; gives where they lie.

    Raises OutputError if they cannot be written.
    """
    entries: dict[str, object] = {**facts.spec.to_metadata(), "sha256": facts.sha256.lower()}
    if facts.graph_inputs or facts.graph_outputs:
        entries["graph_inputs"] = list(facts.graph_inputs)
        entries["graph_outputs"] = list(facts.graph_outputs)
    beside = facts_file(path)
    temporary = beside.with_name(beside.name + ".part")
    try:
        temporary.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
        temporary.replace(beside)
    except OSError as error:
        raise OutputError(f"cannot write {beside}", why=str(error)) from error
    return beside


def check_unchanged(path: Path, facts: Facts | None) -> None:
    """Raise ModelError if a file is no longer the one that its facts were written for."""
    if facts is None:
        return
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path.name} cannot be loaded", why=str(error)) from error
    if found != facts.sha256:
        raise ModelError(
            f"{path.name} is not the file that was checked when it was brought here",
            why=f"its sha256 is {found}\ninstead of {facts.sha256}",
            fix=BRING_AGAIN,
        )


def _names(entry: object) -> tuple[str, ...]:
    if not isinstance(entry, list) or not all(isinstance(name, str) for name in entry):
        raise ValueError("the names of inputs and outputs must be lists of texts")
    return tuple(entry)
