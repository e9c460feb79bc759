"""`defocusfix finetune`: adapt a model to one's own pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defocusfix.cli import output as talk
from defocusfix.cli.pair_options import PairBy
from defocusfix.errors import UsageError

if TYPE_CHECKING:
    from defocusfix.cli.progress import Advance
    from defocusfix.pairs.report import PairReport
    from defocusfix.training.finetuning.report import Gains

DATA, RUN, RESULT = "Your pairs", "The run", "Result"


def finetune(
    blurry: Annotated[
        Path,
        typer.Option(
            exists=True, file_okay=False, rich_help_panel=DATA, help="Folder of blurred photos."
        ),
    ],
    sharp: Annotated[
        Path,
        typer.Option(
            exists=True,
            file_okay=False,
            rich_help_panel=DATA,
            help="Folder of the same views in focus everywhere, as when stopped down.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            rich_help_panel=RUN,
            help="Weights to start from: the name of bundled ones, the folder of a run, or a "
            "safetensors file. [default: focusnet-s]",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            rich_help_panel=RUN,
            help="Folder of the run. [default: runs/finetune-NAME, after the pairs' folder]",
        ),
    ] = None,
    max_hours: Annotated[
        float,
        typer.Option(
            metavar="HOURS",
            rich_help_panel=RUN,
            help="Time for everything. Training takes what the check leaves, and ends earlier "
            "where nothing more is gained.",
        ),
    ] = 0.5,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=RUN,
            help="Length of the run, as far as the time allows. [default: 16 a pair, 300 to 3000]",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            rich_help_panel=RUN,
            help="How far each step goes; lower it where the gain falls during the run. "
            "[default: 5e-5]",
        ),
    ] = None,
    pair_by: PairBy = "auto",
    held_out: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            rich_help_panel=DATA,
            help="Share of the pairs, by whole scenes, that nothing is learnt from: they judge. "
            "[default: a fifth, of few scenes up to two fifths]",
        ),
    ] = None,
    folds: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            rich_help_panel=DATA,
            help="Hold out every scene once, in N turns, and learn from all in the end: N + 1 runs "
            "that share the time. auto: 5 where there are fewer than 12 scenes; 0: no.",
        ),
    ] = "auto",
    device: Annotated[
        str,
        typer.Option(rich_help_panel=RUN, help="Where to train: auto, cpu, cuda, cuda:N or mps."),
    ] = "auto",
    seed: Annotated[
        int, typer.Option(rich_help_panel=RUN, help="Another seed holds out other scenes.")
    ] = 0,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            rich_help_panel=RUN,
            help="Change any setting of trainer or recipe; may be given several times.",
        ),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", rich_help_panel=RUN, help="Take away the run in the folder and begin anew."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", rich_help_panel=RESULT, help="Write one JSON object instead.")
    ] = False,
) -> None:
    """Adapt a model to your lens, from pairs of photos that need not line up.

    Photograph ten scenes or more twice, wide open and stopped down; the camera may move a little.
    Some scenes are held out, of few scenes each in turn: by them you are told whether the result is
    better than the model it began with, or not. Your photos are only read.

    Ctrl-C saves and stops; the same command goes on. The folder of the run then serves as a model.

    Examples:

      defocusfix finetune --blurry wide-open --sharp stopped-down -o my-lens

      defocusfix restore photo.jpg --model my-lens
    """
    from defocusfix.cli.data_check import as_page
    from defocusfix.training.finetuning.command import finetune_run
    from defocusfix.training.finetuning.settings import LEARNING_RATE, FinetuneSettings

    run = output or Path("runs") / f"finetune-{_name(blurry, sharp)}"
    settings = FinetuneSettings(
        blurry=blurry.resolve(),
        sharp=sharp.resolve(),
        base=_base_weights(model),
        matching=pair_by,
        max_hours=max_hours,
        steps=steps,
        learning_rate=LEARNING_RATE if learning_rate is None else learning_rate,
        held_out=held_out,
        folds=_folds(folds),
        device=device,
        precision="bf16" if _is_bf16_fast(device) else "fp32",
        seed=seed,
        changes=tuple(changes or ()),
    )
    with _counted_checks() as checking:
        found = finetune_run(
            settings,
            run,
            is_fresh=fresh,
            talks=not talk.is_quiet(),
            moves=not talk.is_plain(),
            checking=checking,
            page=lambda report: as_page(report, blurry, sharp),
        )
    if found.gains is None:
        again = "the same command without --fresh" if fresh else "the same command"
        talk.say(f"saved in {run}; {again} goes on from there")
        raise typer.Exit(128 + found.outcome.signal_number)
    if found.gains.verdict.is_reliable:
        _export_int8(run)
    _tell(found.gains, run, as_json=as_json)


def _export_int8(run: Path) -> None:
    """The weights in 8 bits too, where this processor can try them and the network gains by it."""
    from defocusfix.engines.select import Way, absence
    from defocusfix.errors import ModelError
    from defocusfix.training.eight_bits import export_int8
    from defocusfix.training.export import load_network

    if absence(Way("onnxruntime", "cpu", "int8")) is not None:
        return
    network, spec = load_network(run / "best.safetensors")
    with suppress(ModelError):  # then it is run in fp32
        export_int8(network, spec, run / "model.int8.onnx", overwrite=True)


@contextmanager
def _counted_checks() -> Iterator[Callable[[int, PairReport], None]]:
    """What shows how many pairs are checked; the display ends with the last of them."""
    from defocusfix.cli.progress import track

    with ExitStack() as display:
        advances: list[Advance] = []
        done = count()

        def checking(number: int, pair: PairReport) -> None:
            if not advances:
                advances.append(display.enter_context(track("Checking", number, unit="pairs")))
            advances[0](note=pair.name)
            if next(done) + 1 == number:
                display.close()

        yield checking


def _tell(gains: Gains, run: Path, *, as_json: bool) -> None:
    from defocusfix.evaluation.report import as_table

    if as_json:
        talk.data_json({"run": str(run), **gains.as_json()})
        return
    talk.data(as_table(gains.means()))
    talk.data(gains.in_words)
    if gains.verdict.is_reliable:
        talk.say(f"use it: defocusfix restore photo.jpg --model {run}")


def _base_weights(model: str | None) -> Path:
    """The safetensors file of the weights to start from. Raises ModelError if there is none."""
    from defocusfix.engines.model_file import SAFETENSORS, in_format
    from defocusfix.errors import ModelError
    from defocusfix.restoration.restorer import model_file

    file = model_file(model)
    found = in_format(file, SAFETENSORS)
    if found is None:
        raise ModelError(
            f"{file} cannot be trained on",
            why="beside it there is no safetensors file with the same weights",
            fix="give the folder of a run, or a .safetensors file",
        )
    return found.resolve()


def _folds(wish: str) -> int | None:
    """None for auto. Raises UsageError for what is no number."""
    if wish == "auto":
        return None
    try:
        return int(wish)
    except ValueError:
        raise UsageError(f"--folds {wish} is not auto or a whole number") from None


def _is_bf16_fast(device: str) -> bool:
    from defocusfix.engines.chip import has_fast_bf16
    from defocusfix.training.device import training_device

    kind = training_device(device).type
    return kind == "cuda" or (kind == "cpu" and has_fast_bf16())


def _name(blurry: Path, sharp: Path) -> str:
    """What a run on these folders is called: after the folder they share, or the blurred one."""
    one, other = blurry.resolve(), sharp.resolve()
    return one.parent.name if one.parent == other.parent and one.parent.name else one.name
