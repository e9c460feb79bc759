"""A folder that is restored in place by real child processes, which are killed again and again."""

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
HEIGHT, WIDTH = 300, 400
LONGEST_WAIT = 120.0
NAMES = ("a", "b", "c", "d", "e", "f")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of Unix")


@pytest.fixture
def folder(tmp_path):
    """Photos whose files take a while to write, and a network that takes none to run."""
    small_networks.addition(tmp_path / "net.onnx", 0.1)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        deep = np.random.default_rng(number).integers(0, 50_000, (HEIGHT, WIDTH, 3), np.uint16)
        (folder / f"{name}.tif").write_bytes(samples.tiff(deep, compression="deflate"))
    return folder


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "defocusfix", "restore", str(folder), "--in-place"]
    command += ["--model", str(folder.parent / "net.onnx"), "--engine", "onnxruntime"]
    return subprocess.Popen(
        [*command, "--device", "cpu", "--threads", "1"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@pytest.mark.slow
def test_kill_9_at_any_moment_loses_no_original_and_nothing_is_restored_twice(folder):
    originals = {name: (folder / f"{name}.tif").read_bytes() for name in NAMES}
    wanted = {
        name: read_photo(folder / f"{name}.tif").to_float() + np.float32(0.1) for name in NAMES
    }

    def assert_nothing_is_lost() -> None:
        for name in NAMES:
            photo, backup = folder / f"{name}.tif", folder / f"{name}.orig.tif"
            if photo.read_bytes() != originals[name]:
                assert backup.read_bytes() == originals[name]
                assert np.allclose(read_photo(photo).to_float(), wanted[name], atol=1e-4)
            elif backup.exists():
                assert backup.read_bytes() == originals[name]

    rng = np.random.default_rng(9)
    n_killed = 0
    for _ in range(8):
        with start(folder) as child:
            deadline = time.monotonic() + LONGEST_WAIT
            n_before = len(list(folder.glob("*.orig.tif")))
            while child.poll() is None and time.monotonic() < deadline:
                if len(list(folder.glob("*.orig.tif"))) > n_before:
                    break
                time.sleep(0.002)
            time.sleep(float(rng.uniform(0, 0.05)))
            child.kill()
        n_killed += child.returncode == -signal.SIGKILL
        assert_nothing_is_lost()
    assert n_killed > 0
    with start(folder) as child:
        assert child.stderr is not None
        assert child.wait(LONGEST_WAIT) == 0, child.stderr.read()
    assert_nothing_is_lost()
    expected = {f"{name}{end}" for name in NAMES for end in (".tif", ".orig.tif")}
    assert {file.name for file in folder.iterdir()} == {*expected, ".defocusfix"}
    for name in NAMES:
        assert np.allclose(read_photo(folder / f"{name}.tif").to_float(), wanted[name], atol=1e-4)
