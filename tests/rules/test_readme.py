"""The README shows commands that exist, and the test run uses the ones that it shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from defocusfix.cli.commands import load
from defocusfix.cli.table import COMMANDS, all_names

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [*ROOT.glob("README.md"), *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?:\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def shell_commands(text: str) -> Iterator[list[str]]:
    """Words of every command line in the fenced blocks, "&&" and "\\" taken apart and together."""
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.removeprefix("$ ").split("&&"):
                try:
                    yield shlex.split(command, comments=True)
                except ValueError:
                    continue  # a line of another language


def commands_shown() -> list[tuple[str, list[str]]]:
    return [
        (page.name, words[1:] or ["--help"])
        for page in PAGES
        for words in shell_commands(page.read_text(encoding="utf-8"))
        if words and Path(words[0]).name == "defocusfix"
    ]


def command_in(words: list[str]) -> str:
    """The command of a line, with the name of its group."""
    return " ".join(words[: 2 if words[0] in COMMANDS and COMMANDS[words[0]].commands else 1])


@pytest.mark.parametrize(("page", "words"), commands_shown())
def test_a_command_that_is_shown_exists_with_its_options(page, words):
    name = command_in(words)
    assert name in all_names() or name.startswith("-")
    if name in all_names():
        known = {option for parameter in load(name).params for option in parameter.opts}
        known |= {option for p in load(name).params for option in p.secondary_opts}
        known |= {"--help", "--quiet", "--verbose", "--plain", "--debug", "-q", "-v", "-h"}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize(
    "name", [name for name in all_names() if name not in COMMANDS or not COMMANDS[name].commands]
)
def test_every_command_is_shown_somewhere(name):
    assert name in {command_in(words) for _, words in commands_shown()}


def test_the_test_run_sets_up_as_the_readme_says():
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    lines = [" ".join(words) for words in shell_commands(README.read_text(encoding="utf-8"))]
    for step in ("pip install .", "pip install -e .[test]", "defocusfix restore docs/example.jpg"):
        assert any(line.endswith(step) for line in lines), f"README has no {step}"
        assert step in run.replace("'", "")
