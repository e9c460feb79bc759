"""`defocusfix doctor`: what restoring photos has to work with on this machine."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from defocusfix.cli import output
from defocusfix.version import __version__

if TYPE_CHECKING:
    from defocusfix.engines.probe import Finding, Machine

# What restoring rests on, and what extras add, by the names of the Python Package Index.
PACKAGES = ("numpy", "pillow", "opencv-python-headless", "exifread")
DEPTHS = {"8-bit photos": 8, "deeper photos": 16}
SCHEMA = 1


def doctor(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="PATH",
            help="Try it with your own weights. [default: focusnet-s]",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object instead, as for a bug report.")
    ] = False,
) -> None:
    """Show what this computer has for restoring photos, and what it lacks.

    Every engine that is installed runs a small picture on every device, so that what is said to
    work does. Nothing is changed and nothing is sent anywhere.

    Examples:

      defocusfix doctor

      defocusfix doctor --json > report.json
    """
    from defocusfix.engines.probe import advice, examine, machine
    from defocusfix.restoration.restorer import model_file

    weights = model_file(model)
    output.detail(f"trying every engine with {weights}")
    found = machine()
    findings = list(examine(weights))
    todo = advice(findings)
    if as_json:
        output.data_json(_as_json(found, findings, todo))
    else:
        output.data("\n".join(_page(found, findings, todo)))


def _page(machine: Machine, findings: Sequence[Finding], todo: Sequence[str]) -> Iterable[str]:
    memory = "unknown" if machine.memory_gb is None else f"{machine.memory_gb:.1f} GB"
    yield f"defocusfix {__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield f"processor  {machine.processor}, {machine.cores} cores"
    yield f"           {', '.join(machine.abilities) or 'no abilities known'}"
    yield f"memory     {memory}"
    yield from _aligned("GPU", machine.gpus or ("none that NVIDIA's driver knows",))
    yield ""
    yield "Engines, by what they can run on"
    for (engine, device), ways in groupby(
        sorted(findings, key=lambda f: (f.way.engine, f.way.device)),
        key=lambda f: (f.way.engine, f.way.device),
    ):
        yield f"  {engine:<12} {device:<9} {_works_or_why(list(ways))}"
    yield ""
    yield "Restoring uses, if nothing else is asked for"
    for photos, chosen in _choices(findings).items():
        yield f"  {photos:<14} {chosen['way'] or 'nothing: no engine works'}"
        yield f"  {'':<14} {chosen['why']}"
    yield ""
    yield "Packages"
    for package, version in _versions(PACKAGES).items():
        yield f"  {package:<24} {version or 'missing'}"
    for package, (version, extra) in _extras().items():
        yield f"  {package:<24} {version or f'not there; pip install {extra!r}'}"
    yield ""
    yield from _aligned("To do", todo or ("nothing",))


def _aligned(label: str, lines: Sequence[str]) -> Iterable[str]:
    """Lines below each other, the first one behind its label."""
    for number, line in enumerate(lines):
        yield f"{label if number == 0 else '':<10} {line}"


def _works_or_why(findings: Sequence[Finding]) -> str:
    """What one engine can do on one device, on one line."""
    working = [finding for finding in findings if finding.works]
    if working:
        return f"{', '.join(f.way.precision for f in working)}  ({working[0].name})"
    fixes = [f.fix for f in findings if f.fix.startswith("pip ")]
    return "; ".join(["no: " + findings[0].why.splitlines()[0], *fixes[:1]])


def _choices(findings: Sequence[Finding]) -> dict[str, dict[str, str]]:
    """The way that restoring takes by itself, and why, by depth of the photo."""
    from defocusfix.engines.probe import choice, reason

    chosen = {photos: (choice(findings, bits), bits) for photos, bits in DEPTHS.items()}
    return {
        photos: {
            "way": "" if found is None else str(found.way),
            "why": "" if found is None else reason(found.way, bits),
        }
        for photos, (found, bits) in chosen.items()
    }


def _versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Version of each package; None where it is not installed."""
    from importlib import metadata  # a tenth of the time that help may take

    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def _extras() -> Mapping[str, tuple[str | None, str]]:
    """Version of each package that an extra brings, and what to install for it."""
    from defocusfix.cli.app import EXTRAS

    versions = _versions(package.replace("_", "-") for package in EXTRAS)
    return {
        package: (version, f"defocusfix[{extra}]")
        for (package, version), extra in zip(versions.items(), EXTRAS.values(), strict=True)
    }


def _as_json(
    machine: Machine, findings: Sequence[Finding], todo: Sequence[str]
) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "schema": SCHEMA,
        "defocusfix": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": asdict(machine),
        "engines": [
            {**asdict(f.way), "works": f.works, "name": f.name, "why": f.why, "fix": f.fix}
            for f in findings
        ],
        "choice": _choices(findings),
        "packages": _versions(PACKAGES),
        "extras": {
            package: {"version": version, "install": install}
            for package, (version, install) in _extras().items()
        },
        "to_do": list(todo),
    }
