from __future__ import annotations

import pytest

from defocusfix.cli import commands


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
    table = {
        name.replace("_", "-"): commands.Entry(f"tests.cli.stand_in_commands:{name}", "Stand-ins")
        for name in names
    }
    monkeypatch.setattr(commands, "COMMANDS", table)
