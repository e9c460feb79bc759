"""Runs on a real cluster of two machines, which are both this one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from defocusfix.photo.read import read_photo
from tests.jobs import local_cluster
from tests.jobs.local_cluster import Cluster
from tests.photo import sample_files as samples
from tests.restoration import small_networks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra cluster"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes as on Linux"),
]

PROGRAM = Path(__file__).with_name("run_on_cluster.py")
N_PHOTOS = 24
LONGEST_RUN = 240.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    with local_cluster.cluster(tmp_path_factory.mktemp("cluster"), processors=2) as made:
        yield made


@pytest.fixture
def folder(tmp_path) -> Path:
    """Photos that take a while, and a network that brightens them by a tenth."""
    small_networks.addition(tmp_path / "net.onnx", 0.1)
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(1).integers(0, 200, (400, 500, 3), np.uint8)
    for number in range(N_PHOTOS):
        photo = samples.png(np.roll(pixels, number, axis=0))
        (tmp_path / "photos" / f"{number:02}.png").write_bytes(photo)
    return tmp_path


def start(folder: Path, address: str, *special: str, cluster: Cluster | None = None):
    environment = os.environ | {"PYTHONPATH": str(local_cluster.ROOT)}
    if cluster is not None:
        environment = dict(cluster.environment)
    names = [str(folder / name) for name in ("photos", "out", "net.onnx")]
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), address, *names, *special],
        env=environment,
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(child: subprocess.Popen[str]) -> tuple[int, list[dict], str]:
    """Exit code, events and talk of a run."""
    stdout, stderr = child.communicate(timeout=LONGEST_RUN)
    return child.returncode, [json.loads(line) for line in stdout.splitlines()], stderr


def outputs(folder: Path) -> list[Path]:
    return sorted(file for file in (folder / "out").glob("*_restored.png"))


def rows(folder: Path) -> list[dict]:
    """All rows of the only journal."""
    (journal,) = (folder / "out" / ".defocusfix" / "journal").glob("*.jsonl")
    return [json.loads(line) for line in journal.read_text().splitlines()]


def wait_for_outputs(folder: Path, number: int, child: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + LONGEST_RUN
    while len(outputs(folder)) < number and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def assert_every_photo_done_once(folder: Path) -> None:
    done = Counter(row["key"] for row in rows(folder) if row["state"] == "done")
    assert done == {f"{number:02}.png": 1 for number in range(N_PHOTOS)}
    assert not [row for row in rows(folder) if row["state"] == "failed"]
    assert len(outputs(folder)) == N_PHOTOS
    for file in outputs(folder):
        before = read_photo(folder / "photos" / file.name.replace("_restored", "")).pixels
        # A tenth of 255, rounded to the nearer side.
        assert np.isin(read_photo(file).pixels - before, (25, 26)).all()
    assert list((folder / "out").rglob(".cluster-*")) == []


def test_a_machine_killed_in_mid_run_costs_no_photo_and_none_is_done_twice(folder, cluster):
    with (
        cluster.machine(processors=2) as machine,
        start(folder, cluster.address, cluster=cluster) as child,
    ):
        wait_for_outputs(folder, N_PHOTOS // 3, child)
        local_cluster.kill(machine)
        code, events, said = ended(child)
    assert (said, code) == ("", 0)
    assert events[-1]["event"] == "summary"
    assert events[-1]["done"] == N_PHOTOS
    assert_every_photo_done_once(folder)


def test_a_cluster_is_called_from_outside_and_is_given_weights_that_it_lacks(folder, cluster):
    with start(folder, cluster.client_address, "lose-model", cluster=cluster) as child:
        code, events, said = ended(child)
    assert (said, code) == ("", 0)
    assert not (folder / "net.onnx").exists()
    assert Counter(event["event"] for event in events)["photo_done"] == N_PHOTOS
    assert_every_photo_done_once(folder)


def test_ctrl_c_ends_a_cluster_of_this_machine_after_the_photos_at_hand(folder):
    with start(folder, "local") as child:
        wait_for_outputs(folder, 1, child)
        # As the terminal does it: to the workers as well.
        os.killpg(child.pid, signal.SIGINT)
        code, events, said = ended(child)
    assert (said, code) == ("", 130)
    assert 1 <= events[-1]["done"] < N_PHOTOS
    assert events[-1]["done"] + events[-1]["left"] == N_PHOTOS
    assert len(outputs(folder)) == events[-1]["done"]
    assert list((folder / "out").rglob(".cluster-*")) == []
    with start(folder, "local") as child:
        assert ended(child)[0] == 0
    assert len(outputs(folder)) == N_PHOTOS


def test_a_cluster_whose_token_this_machine_lacks_is_told_in_few_words(folder, cluster):
    stranger = replace(cluster, environment={**cluster.environment, "RAY_AUTH_TOKEN": "0" * 64})
    with start(folder, cluster.address, cluster=stranger) as child:
        code, events, said = ended(child)
    assert (code, events) == (7, [])
    assert "give this machine the token" in said
    assert len(said.splitlines()) <= 4


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        ("127.0.0.1:1", 7, "no cluster answers at 127.0.0.1:1"),
        ("auto", 7, "the cluster auto cannot be joined"),
        ("somewhere", 2, "no address of a cluster"),
    ],
)
def test_a_cluster_that_is_not_there_is_told_before_any_work(folder, address, code, said):
    with start(folder, address) as child:
        result, events, text = ended(child)
    assert (result, events) == (code, [])
    assert said in text
    assert outputs(folder) == []
