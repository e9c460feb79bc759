from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from defocusfix.training.distributed import average, average_gradients, from_first
from defocusfix.training.weights import read_weights

ROOT = Path(__file__).parents[2]
TRAIN = """
import sys
from tests.training import toy
from defocusfix.training import recipes
recipes.RECIPES["toy"] = "tests.training.toy"
from defocusfix.cli.app import run
raise SystemExit(run(sys.argv[1:]))
"""


def train(folder: Path, ranks: int) -> None:
    """Train the toy in as many processes as torchrun would start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [
        "train", "-r", "toy", "-o", str(folder), "--set", "trainer.precision=fp32",
        "--set", "recipe.steps=5", "--set", "recipe.critic=true", "--set", "trainer.log_steps=1",
        "--set", "trainer.device=cpu",
    ]  # fmt: skip
    processes = []
    for rank in range(ranks):
        places = {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", TRAIN, *arguments],
                env=os.environ | places,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    told = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * ranks, "\n".join(told)


@pytest.mark.slow
def test_two_processes_train_as_one_does_with_the_joint_batch(tmp_path):
    train(tmp_path / "one", 1)
    train(tmp_path / "two", 2)
    alone, _ = read_weights(tmp_path / "one" / "weights.safetensors")
    shared, _ = read_weights(tmp_path / "two" / "weights.safetensors")
    for name in alone:
        torch.testing.assert_close(alone[name], shared[name], rtol=1e-5, atol=1e-6, msg=name)
    losses = [
        [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()
         if json.loads(line)["kind"] == "train"]
        for folder in (tmp_path / "one", tmp_path / "two")
    ]  # fmt: skip
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    samples = [
        json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])["samples"]
        for folder in (tmp_path / "one", tmp_path / "two")
    ]
    assert samples == [4, 4]


def test_alone_nothing_is_averaged():
    weight = torch.ones(2, requires_grad=True)
    weight.grad = torch.tensor([1.0, 2.0])
    average_gradients([weight])
    assert weight.grad.tolist() == [1.0, 2.0]
    assert average(torch.tensor([3.0])).tolist() == [3.0]
    assert from_first([1.0, 2.0], torch.device("cpu")) == [1.0, 2.0]
