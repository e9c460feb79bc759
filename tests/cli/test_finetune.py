from __future__ import annotations

import json
import os
import signal

import pytest
from PIL import Image

from defocusfix.networks.build import BUILDERS
from defocusfix.training.finetuning import command
from defocusfix.training.finetuning.held_out import HeldOut
from tests.training.small_finetuning import small_focusnet, write_base, write_lens

SHORT = (
    *("--steps", 2, "--learning-rate", 1e-3, "--set", "recipe.reblur.width=4"),
    *("--set", "recipe.data.crop_px=64", "--set", "recipe.batch_size=2", "--folds", 2),
)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setitem(BUILDERS, "focusnet-s", small_focusnet)
    # Takes longer than all else together, and has tests of its own.
    monkeypatch.setattr(command, "export_onnx", lambda *_, **__: None)


@pytest.fixture
def tune(defocusfix, tmp_path, monkeypatch):
    """`defocusfix finetune` on small pairs of a lens, in an empty folder."""
    write_lens(tmp_path / "lens", 6)
    base = write_base(tmp_path / "base.safetensors")
    monkeypatch.chdir(tmp_path)

    def typed(*words: object):
        folders = ("--blurry", "lens/blurry", "--sharp", "lens/sharp", "-m", base)
        return defocusfix("finetune", *folders, *SHORT, *words)

    return typed


def test_the_start_card_comes_first_and_the_verdict_last(tune, tmp_path):
    told = tune()
    assert told.exit_code == 0, told.stderr
    lines = told.stderr.splitlines()
    card = [line.split()[0] for line in lines if line[:1].isalpha()]
    wanted = ["pairs", "learns", "judges", "base", "weights", "device", "length"]
    assert [word for word in card if word in wanted] == wanted
    assert "6 found, 6 usable, 0 rejected" in told.stderr
    assert "small, Apache-2.0" in told.stderr
    table = told.stdout.splitlines()
    assert [line.split()[0] for line in table[:4]] == ["network", "input", "base", "tuned"]
    assert table[0].split()[1:] == [
        "raw",
        "db",
        "global",
        "db",
        "tiled",
        "db",
        "flow",
        "db",
        "ssim",
        "detail",
    ]
    assert table[4].startswith("No reliable gain, keep the base model")
    assert (tmp_path / "runs" / "finetune-lens" / "MODEL_CARD.md").is_file()
    assert "<html" in (tmp_path / "runs/finetune-lens/data-report.html").read_text()


def test_the_result_as_json(tune):
    told = tune("--json", "-o", "run")
    found = json.loads(told.stdout)
    assert found["run"] == "run"
    assert not found["is_reliable"]
    assert len(found["scenes"]) == 6  # each in its turn
    assert [row["network"] for row in found["means"]] == ["input", "base", "tuned"]


def test_ctrl_c_saves_and_the_same_command_goes_on(tune, monkeypatch):
    look = HeldOut.look

    def stopping(self, network):
        os.kill(os.getpid(), signal.SIGINT)
        return look(self, network)

    monkeypatch.setattr(HeldOut, "look", stopping)
    told = tune("-o", "run")
    assert told.exit_code == 130
    assert "saved in run; the same command goes on from there" in told.stderr
    monkeypatch.setattr(HeldOut, "look", look)
    told = tune("-o", "run")
    assert told.exit_code == 0, told.stderr
    assert "going on with the run in this folder" in told.stderr


def test_another_command_does_not_go_on_unless_it_begins_anew(tune):
    tune("-o", "run")
    told = tune("-o", "run", "--seed", 1)
    assert told.exit_code == 2
    assert "seed: 0 then, 1 now" in told.stderr
    assert "--fresh" in told.stderr
    assert tune("-o", "run", "--seed", 1, "--fresh").exit_code == 0


def test_quiet_fine_tuning_tells_the_result_alone(tune):
    told = tune("-q", "-o", "run")
    assert (told.exit_code, told.stderr) == (0, "")
    assert "No reliable gain" in told.stdout


def test_the_folder_of_a_run_is_a_model_to_restore_and_to_go_on_from(tune, defocusfix, tmp_path):
    tune("-o", "run")
    photo = tmp_path / "lens" / "blurry" / "00.png"
    told = defocusfix(
        "restore", photo, "-m", "run", "-o", "out.png", "--engine", "torch", "--device", "cpu"
    )
    assert told.exit_code == 0, told.stderr
    assert (tmp_path / "out.png").is_file()
    again = tune("-o", "second", "-m", "run")
    assert again.exit_code == 0, again.stderr
    assert "small-finetuned" in again.stderr


def test_pairs_that_cannot_be_trained_on_end_with_exit_code_8(tune, tmp_path):
    for number in range(4):
        Image.new("RGB", (176, 160), "gray").save(tmp_path / f"lens/sharp/0{number}.png")
    told = tune("-o", "run")
    assert told.exit_code == 8
    assert "cannot be trained on" in told.stderr
    assert "defocusfix data check" in told.stderr
    assert (tmp_path / "run" / "data-report.html").is_file()


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--max-hours", "0"], 2, "--max-hours must be above 0"),
        (["--held-out", "0.9"], 2, "between 0.01 and 0.5"),
        (["--held-out", "0.2"], 2, "--folds and --held-out exclude each other"),
        (["--folds", "many"], 2, "not auto or a whole number"),
        (["--folds", "1"], 2, "--folds must be 2 or more"),
        (["--learning-rate", "-1"], 2, "--learning-rate must be above 0"),
        (["--set", "recipe.batchsize=1"], 2, "did you mean recipe.batch_size"),
        (["-m", "none-such"], 5, "no weights called"),
        (["--device", "cuda:99"], 6, "CUDA GPU 99 is not usable"),
    ],
)
def test_what_cannot_work_is_refused(tune, options, exit_code, message):
    told = tune("-o", "run", *options)
    assert told.exit_code == exit_code
    assert message in told.stderr
