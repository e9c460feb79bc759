"""Options that more than one command has, as annotated types: one name and one text for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from defocusfix.cli import output
from defocusfix.errors import UsageError
from defocusfix.photo.limits import DEFAULT, Limits
from defocusfix.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from defocusfix.jobs.treatment import Area

FILES, LOOK, FORMAT, SPEED = "Files", "Look", "Format and metadata", "Speed and memory"
WEIGHTS = "Weights"
PROGRAM = f"defocusfix {__version__}"


def _write_version(is_asked: bool) -> None:
    if is_asked:
        output.data(PROGRAM)
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version",
        "-V",
        is_eager=True,
        callback=_write_version,
        help="Write the version and stop.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more of what is being done.")]
Plain = Annotated[
    bool, typer.Option("--plain", help="No colour, and nothing that moves, as in a log.")
]
Debug = Annotated[
    bool, typer.Option("--debug", help="On an error, show where in the program it arose.")
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        rich_help_panel=LOOK,
        help="Name of weights (defocusfix models list), the folder of a run, or an ONNX or "
        "safetensors file. [default: focusnet-s]",
    ),
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        rich_help_panel=WEIGHTS,
        help="Where fetched weights are. [default: DEFOCUSFIX_CACHE_DIR, else as the Hugging Face "
        "Hub keeps them: HF_HOME]",
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline", rich_help_panel=WEIGHTS, help="Fetch nothing; HF_HUB_OFFLINE=1 does the same."
    ),
]
AcceptLicence = Annotated[
    bool,
    typer.Option(
        "--accept-licence",
        rich_help_panel=WEIGHTS,
        help="Agree to restrictive terms without being asked. Read them first: models show.",
    ),
]
Best = Annotated[
    bool,
    typer.Option(
        "--best",
        rich_help_panel=LOOK,
        help="Restore every place four times, mirrored, and take the mean: a little closer to the "
        "truth, for four times the time.",
    ),
]
EngineChoice = Annotated[
    Literal["auto", "onnxruntime", "openvino", "torch"],
    typer.Option(
        "--engine",
        rich_help_panel=SPEED,
        help="Library that computes. auto takes the fastest that is installed and works here.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        rich_help_panel=SPEED,
        help="Where to compute: auto, cpu, cuda, tensorrt, directml, coreml or mps. All but auto "
        "are demands: if one cannot be had, nothing is done.",
    ),
]
PrecisionChoice = Annotated[
    Literal["auto", "fp32", "bf16", "fp16", "int8"],
    typer.Option(
        "--precision",
        rich_help_panel=SPEED,
        help="Of the arithmetic. auto takes less than fp32 only for 8-bit output, which does not "
        "show it, and only where that is faster. int8: ONNX Runtime on processors with VNNI or "
        "AMX.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, rich_help_panel=SPEED, help="Of the processor. [default: one per core]"),
]
MaxMegapixels = Annotated[
    float,
    typer.Option(
        metavar="MP",
        rich_help_panel=SPEED,
        help="Refuse larger photos: a damaged or hostile file can claim any size.",
    ),
]
MaxFileSize = Annotated[
    float,
    typer.Option(metavar="GB", rich_help_panel=SPEED, help="Refuse larger files."),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        rich_help_panel=FILES,
        help="Write what happens to standard output, one JSON object a line.",
    ),
]

LARGEST_MEGAPIXELS = DEFAULT.megapixels
LARGEST_FILE_GB = DEFAULT.bytes / 1024**3

# These may stand before or after the command: they mean the same for every one.
ANYWHERE = frozenset({"--quiet", "-q", "--verbose", "-v", "--plain", "--debug"})
MAP_SCALES: dict[str, Literal[1, 2, 4]] = {"1": 1, "2": 2, "4": 4}
SCALES: dict[str, Literal["auto", 1, 2, 4]] = {"auto": "auto", **MAP_SCALES}
STREAM = "-"  # standard input or output, wherever a file may be named


def moved_to_front(arguments: list[str]) -> list[str]:
    """The same command line with the options of ANYWHERE before the command.

    What follows "--" is left alone.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument in ANYWHERE]
    others = [argument for argument in arguments[:end] if argument not in ANYWHERE]
    return [*options, *others, *arguments[end:]]


def limits_of(megapixels: float, file_gb: float) -> Limits:
    """The limits that were typed. Raises UsageError unless both are above 0."""
    if megapixels <= 0 or file_gb <= 0:
        raise UsageError("--max-megapixels and --max-file-size must be above 0")
    return Limits(megapixels=megapixels, bytes=round(file_gb * 1024**3))


def sources_of(paths: Sequence[str]) -> list[Path | None]:
    """The photos that were named; "-" is standard input, which is None."""
    return [None if path == STREAM else Path(path) for path in paths]


def two_on_stdout() -> UsageError:
    """The error for `--json -o -`."""
    return UsageError(
        "--json and -o - both write to standard output", fix="name a file or folder with -o"
    )


def output_of(target: str | None) -> Path | None:
    """The file or folder that -o named; None for none and for standard output."""
    return None if target is None or target == STREAM else Path(target)


def is_folder(target: str | None) -> bool:
    """Whether -o named a folder by the look of it."""
    return target is not None and target.endswith(("/", "\\"))


def area_of(text: str | None) -> Area | None:
    """X,Y,W,H as numbers. Raises UsageError if they are none, or enclose nothing."""
    if text is None:
        return None
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--crop {text} is no area",
            fix="give X,Y,W,H in pixels, as in --crop 800,600,512,512",
        ) from error
    if min(x, y) < 0 or min(width, height) < 1:
        raise UsageError(f"--crop {text} encloses nothing")
    return x, y, width, height
