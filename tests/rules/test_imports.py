"""Data flows one way, and nothing heavy is loaded before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from defocusfix.cli.table import COMMANDS
from tests.rules.imports import (
    ENGINE_FILES,
    MAY_IMPORT,
    ONE_FILE_MORE,
    ONNXRUNTIME_ROOMS,
    TORCH_FILES,
    TORCH_ROOMS,
)

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "defocusfix"
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted({file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in FILES})
HEAVY = {"torch", "onnxruntime", "cv2", "numpy", "scipy", "PIL", "rich", "huggingface_hub"}


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(source: str, package: str) -> Iterator[str]:
    """Full names of all modules that a file of `package` imports, wherever the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            module = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def modules_of(file: Path) -> set[str]:
    package = ".".join(file.relative_to(ROOT).parent.parts)
    return set(imported_modules(file.read_text(encoding="utf-8"), package))


def rooms_imported_by(file: Path) -> set[str]:
    parts = [module.split(".") for module in modules_of(file)]
    named = {part[1] for part in parts if part[0] == "defocusfix" and len(part) > 1}
    return (named & set(ROOMS)) - {room_of(file)}


def packages_imported_by(file: Path) -> set[str]:
    return {module.split(".")[0] for module in modules_of(file)}


def identify(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def fresh_interpreter(program: str, *words: str) -> str:
    """Standard output of a program run from the repository's root."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_imports_are_found_however_they_are_written():
    source = """
import defocusfix.optics.psf as psf
from defocusfix import errors
from . import neighbour
from ..photo import read
def late():
    from defocusfix.engines.select import choose
"""
    found = set(imported_modules(source, "defocusfix.jobs"))
    assert {
        "defocusfix.optics.psf",
        "defocusfix.errors",
        "defocusfix.jobs.neighbour",
        "defocusfix.photo.read",
        "defocusfix.engines.select",
    } <= found


def test_every_room_stands_in_the_table():
    assert set(ROOMS) <= set(MAY_IMPORT)


def test_the_table_has_no_circle():
    left = dict(MAY_IMPORT)
    while free := [room for room, needs in left.items() if not needs & left.keys()]:
        for room in free:
            del left[room]
    assert not left


@pytest.mark.parametrize("file", FILES, ids=identify)
def test_a_file_imports_only_rooms_that_its_room_may_import(file):
    allowed = MAY_IMPORT[room_of(file)] | ONE_FILE_MORE.get(identify(file), set())
    assert rooms_imported_by(file) <= allowed


def test_torch_is_named_only_in_the_rooms_that_know_it():
    strangers = [
        identify(file)
        for file in FILES
        if "torch" in packages_imported_by(file)
        and room_of(file) not in TORCH_ROOMS
        and identify(file) not in TORCH_FILES
    ]
    assert strangers == []


def test_onnxruntime_is_named_only_in_the_rooms_that_know_it():
    strangers = [
        identify(file)
        for file in FILES
        if "onnxruntime" in packages_imported_by(file) and room_of(file) not in ONNXRUNTIME_ROOMS
    ]
    assert strangers == []


IMPORT_ROOM = """
import importlib, pkgutil, sys
room, *skipped = sys.argv[1:]
module = importlib.import_module(room)
for found in pkgutil.walk_packages(getattr(module, "__path__", []), room + "."):
    if found.name not in skipped:
        importlib.import_module(found.name)
print(*sorted({"torch", "onnxruntime"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("room", [r for r in ROOMS if r not in TORCH_ROOMS | {"__init__"}])
def test_importing_a_room_loads_neither_torch_nor_onnxruntime(room):
    skipped = [f"defocusfix.{file.removesuffix('.py').replace('/', '.')}" for file in ENGINE_FILES]
    assert fresh_interpreter(IMPORT_ROOM, f"defocusfix.{room}", *skipped).split() == []


def heavy_modules_after(program: str) -> list[str]:
    written = fresh_interpreter(f"{program}\nimport sys\nprint(*sys.modules)")
    return sorted(HEAVY & set(written.splitlines()[-1].split()))


@pytest.mark.parametrize("program", ["import defocusfix", "import defocusfix.cli.app"])
def test_importing_the_package_or_its_command_line_loads_nothing_heavy(program):
    assert heavy_modules_after(program) == []


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_loads_nothing_heavy(words):
    program = f"from defocusfix.cli.app import run\nassert run({[*words, '--help']}) == 0"
    assert heavy_modules_after(program) == []
