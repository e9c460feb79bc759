"""`evaluate` with a model that takes both views, on pairs in the layout of DPDD."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.scenes import blurred, texture
from tests.restoration import small_networks


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(path)


@pytest.fixture
def dpdd(tmp_path):
    """Two pairs whose views differ by a third of what the target lacks."""
    for number in range(2):
        target = 0.25 + 0.4 * texture(64, 80, seed=number)
        photo = np.clip(blurred(target, 1.2) - 0.06, 0, 1)
        write(tmp_path / f"test_c/source/{number}.png", photo)
        write(tmp_path / f"test_c/target/{number}.png", target)
        write(tmp_path / f"test_l/source/{number}.png", photo - 0.1)
        write(tmp_path / f"test_r/source/{number}.png", photo + 0.1)
    small_networks.of_two_views(tmp_path / "views.onnx", name="views")
    return tmp_path


def of_model(told) -> dict[str, float]:
    means = json.loads(told.stdout)["means"]
    raw = {row["method"]: row["psnr_db"] for row in means if row["alignment"] == "raw"}
    assert list(raw)[-1] == "model"
    return raw


def test_a_model_of_dual_pixel_photos_gets_the_views_of_each_pair(defocusfix, dpdd):
    where = ("--input", dpdd, "--layout", "dpdd", "-m", dpdd / "views.onnx")
    told = defocusfix("evaluate", *where, "--json", "--baselines", "--sheet", dpdd / "sheet.png")
    assert told.exit_code == 0, told.stderr
    raw = of_model(told)
    assert raw["model"] > raw["input"] + 3
    assert (dpdd / "sheet.png").exists()


def test_a_model_of_photos_passes_the_views_over(defocusfix, dpdd):
    small_networks.addition(dpdd / "plain.onnx", 0.06)
    where = ("--input", dpdd, "--layout", "dpdd", "-m", dpdd / "plain.onnx")
    raw = of_model(defocusfix("evaluate", *where, "--json"))
    assert raw["model"] > raw["input"] + 3


@pytest.mark.parametrize(
    "where",
    [
        ("--input", "test_c/source", "--target", "test_c/target"),
        ("--input", ".", "--layout", "realdof"),
        ("--brackets", "."),
    ],
)
def test_without_views_a_model_that_needs_them_is_not_measured(
    defocusfix, dpdd, monkeypatch, where
):
    monkeypatch.chdir(dpdd)
    write(dpdd / "source/1.png", texture(32, 32))
    write(dpdd / "target/1.png", texture(32, 32))
    told = defocusfix("evaluate", *where, "-m", dpdd / "views.onnx")
    assert told.exit_code == 2
    assert "views needs the two views of dual-pixel photos" in told.stderr
    assert "--layout dpdd" in told.stderr


def test_a_view_of_another_size_is_told(defocusfix, dpdd):
    write(dpdd / "test_r/source/1.png", texture(64, 79))
    told = defocusfix("evaluate", "--input", dpdd, "--layout", "dpdd", "-m", dpdd / "views.onnx")
    assert told.exit_code == 4
    assert "1.png and its view differ in size" in told.stderr
