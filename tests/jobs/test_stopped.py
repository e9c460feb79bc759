"""Real child processes, killed and interrupted in the middle of their work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from defocusfix.photo.read import read_photo
from tests.photo import sample_files as samples
from tests.restoration import small_networks

ROOT = Path(__file__).parents[2]
HEIGHT, WIDTH = 700, 900
LONGEST_WAIT = 60.0

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of Unix")


@pytest.fixture
def folder(tmp_path):
    """Photos whose files take a while to write, and a network that takes none to run."""
    small_networks.addition(tmp_path / "net.onnx", 0.1)
    deep = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH, 3), np.uint16)
    photo = samples.tiff(deep, compression="deflate")
    for name in ("a", "b", "c", "d", "e", "f"):
        (tmp_path / f"{name}.tif").write_bytes(photo)
    (tmp_path / "out").mkdir()
    return tmp_path


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    photos = sorted(str(file) for file in folder.glob("*.tif"))
    command = [sys.executable, "-m", "defocusfix", "restore", *photos, "-o", str(folder / "out")]
    command += ["--model", str(folder / "net.onnx"), "--engine", "onnxruntime", "--device", "cpu"]
    return subprocess.Popen(
        [*command, "--threads", "1", "--map", *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finished(folder: Path) -> list[Path]:
    """Every output under its own name; what is being written has a name that begins with a dot."""
    return [file for file in (folder / "out").iterdir() if not file.name.startswith(".")]


def wait_for_an_output(folder: Path, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LONGEST_WAIT
    while not finished(folder) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)


def assert_whole(folder: Path) -> None:
    for file in finished(folder):
        photo = read_photo(file)
        assert (photo.bits, photo.height, photo.width) == (16, HEIGHT, WIDTH)


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_no_half_written_output(folder):
    rng = np.random.default_rng(9)
    n_killed = 0
    for _ in range(8):
        with start(folder, "--on-exists", "overwrite") as child:
            wait_for_an_output(folder, child)
            time.sleep(float(rng.uniform(0, 0.5)))
            child.kill()
        n_killed += child.returncode == -signal.SIGKILL
        assert_whole(folder)
    assert n_killed > 0
    with start(folder, "--on-exists", "overwrite") as child:
        assert child.stderr is not None
        assert child.wait(LONGEST_WAIT) == 0, child.stderr.read()
    assert_whole(folder)
    assert len([file for file in finished(folder) if file.suffix == ".tif"]) == 6
    assert list((folder / "out").glob(".*")) == []  # what the killed ones left is gone


def test_ctrl_c_keeps_what_is_finished_and_leaves_nothing_half_done(folder):
    with start(folder) as child:
        wait_for_an_output(folder, child)
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        said = child.stderr.read().decode()
        child.wait(LONGEST_WAIT)
    assert child.returncode == 130
    assert "what is finished is kept" in said
    assert "Traceback" not in said
    assert finished(folder)
    assert_whole(folder)
    assert list((folder / "out").glob(".*")) == []
