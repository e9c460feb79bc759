"""Restore a folder on a cluster, as a program of its own that can be interrupted.

Writes the events to standard output, one JSON object a line, and ends as the command line would.
Words: address, folder of photos, folder of outputs, network; then words for what is special.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from defocusfix.cli import output
from defocusfix.errors import DefocusfixError
from defocusfix.jobs.bookkeeping import Bookkeeping
from defocusfix.jobs.cluster import run_plan_on
from defocusfix.jobs.events import Event, Started
from defocusfix.jobs.plan import Item, OnExists, Plan
from defocusfix.jobs.recipe import Recipe
from defocusfix.jobs.run import Stop, Stopped
from defocusfix.jobs.treatment import Treatment
from defocusfix.restoration.settings import RestoreSettings


def main(address: str, photos: Path, outputs: Path, model: Path, *special: str) -> int:
    """The exit code: as of the command line, and of an error its own."""
    items = tuple(
        Item(photo, outputs / f"{photo.stem}_restored{photo.suffix}", key=photo.name)
        for photo in sorted(photos.iterdir())
    )
    stop = Stop()
    signal.signal(signal.SIGINT, lambda *_: stop.ask())
    recipe = Recipe(
        treatment=Treatment(program="test 1.0"),
        settings=RestoreSettings(scale=1, tile=64),
        model=model,
        engine="onnxruntime",
        device="cpu",
        threads=1,
    )

    def tell(event: Event) -> None:
        if isinstance(event, Started) and "lose-model" in special:
            model.unlink()
        output.data_json(event.to_json())

    try:
        with Bookkeeping(
            outputs, settings="0", model_sha256="1", folders=[photos], hashes_inputs=False
        ) as books:
            finished = run_plan_on(
                address,
                Plan(items, OnExists.SKIP, home=outputs),
                recipe,
                tell,
                books=books,
                stop=stop,
                fails_fast="fail-fast" in special,
            )
    except Stopped:
        return 130
    except DefocusfixError as error:
        output.error(error)
        return error.exit_code
    return 3 if finished.failed else 0


if __name__ == "__main__":
    address, *paths = sys.argv[1:5]
    sys.exit(main(address, *map(Path, paths), *sys.argv[5:]))
