from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from defocusfix.cli import table
from tests.conftest import Told
from tests.restoration import small_networks


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-in commands in the place of the real ones."""
    names = (
        "succeed",
        "refuse",
        "stumble",
        "miss_an_extra",
        "miss_a_module",
        "be_interrupted",
        "wait",
        "work",
    )
    entries = {
        name.replace("_", "-"): table.Entry(f"tests.cli.stand_in_commands:{name}", "Stand-ins", "")
        for name in names
    }
    monkeypatch.setattr(table, "COMMANDS", entries)


@dataclass(frozen=True, slots=True)
class Typed:
    """A command with a tiny network that brightens by a tenth, run in an empty folder."""

    command: str
    run: Callable[..., Told]
    model: Path
    folder: Path

    def __call__(self, *words: object) -> Told:
        demands = ("--engine", "onnxruntime", "--device", "cpu", "--threads", 1)
        return self.run(self.command, *words, "--model", self.model, *demands)


@pytest.fixture
def typed(defocusfix, tmp_path, monkeypatch) -> Callable[[str], Typed]:
    """Makes a `Typed` of the name of a command."""
    small_networks.addition(tmp_path / "brighten.onnx", 0.1, name="brighten")
    folder = tmp_path / "photos"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return lambda command: Typed(command, defocusfix, tmp_path / "brighten.onnx", folder)


@pytest.fixture
def restore(typed) -> Typed:
    """`defocusfix restore`."""
    return typed("restore")
