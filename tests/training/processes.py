"""Commands run in as many processes as torchrun would start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = """
import sys
from tests.training import toy
from defocusfix.training import recipes
recipes.RECIPES["toy"] = "tests.training.toy"
from defocusfix.cli.app import run
raise SystemExit(run(sys.argv[1:]))
"""


def train(folder: Path, ranks: int, *arguments: str) -> None:
    """`defocusfix train -o folder ...` on the processor, in fp32, every step logged."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        "train", "-o", str(folder), "--set", "trainer.precision=fp32",
        "--set", "trainer.log_steps=1", "--set", "trainer.device=cpu", *arguments,
    ]  # fmt: skip
    processes = []
    for rank in range(ranks):
        places = {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", COMMAND, *words],
                env=os.environ | places,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    told = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * ranks, "\n".join(told)
