from __future__ import annotations

from dataclasses import replace

import onnxruntime
import pytest
import torch

from defocusfix.bundled import bundled_models_folder
from defocusfix.engines import select
from defocusfix.engines.select import open_engine
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks import build
from defocusfix.training import eight_bits
from defocusfix.training.weights import read_weights, weights_sha256, write_weights
from tests.abilities import needs_int8
from tests.training import toy


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A folder as a training run leaves it."""
    monkeypatch.setitem(build.BUILDERS, "toy", lambda: toy.Network(0.0))
    recipe = toy.build(toy.Config())
    weights = recipe.modules["network"].state_dict()
    write_weights(tmp_path / "weights.safetensors", weights, recipe.spec)
    return tmp_path


def test_a_run_becomes_one_file_whose_parity_is_told(defocusfix, run):
    told = defocusfix(
        "export", run, "-o", run / "toy.onnx", "--safetensors", run / "toy.safetensors"
    )
    assert told.exit_code == 0, told.stderr
    assert told.stdout.splitlines() == [str(run / "toy.safetensors"), str(run / "toy.onnx")]
    assert told.stderr.count("differs from torch by") == 3
    session = onnxruntime.InferenceSession(run / "toy.onnx", providers=["CPUExecutionProvider"])
    spec = NetworkSpec.from_metadata(session.get_modelmeta().custom_metadata_map)
    assert spec.architecture == "toy"
    assert read_weights(run / "toy.safetensors")[1] == spec


def test_of_several_runs_the_mean_is_taken_and_one_named_twice_counts_twice(defocusfix, run):
    weights, spec = read_weights(run / "weights.safetensors")
    other = {name: tensor + 0.3 for name, tensor in weights.items()}
    write_weights(run / "other.safetensors", other, replace(spec, halo=99, weights_sha256=""))
    told = defocusfix(
        "export", run, run, run / "other.safetensors",
        "-o", run / "mean.onnx", "--safetensors", run / "mean.safetensors", "--no-half",
    )  # fmt: skip
    assert told.exit_code == 0, told.stderr
    mean, facts = read_weights(run / "mean.safetensors")
    assert all(torch.allclose(mean[name], weights[name] + 0.1) for name in weights)
    assert facts.halo == 99
    assert facts.weights_sha256 == weights_sha256(mean)


def test_weights_of_different_networks_have_no_mean(defocusfix, run, monkeypatch):
    monkeypatch.setitem(build.BUILDERS, "other toy", lambda: toy.Network(0.0))
    weights, spec = read_weights(run / "weights.safetensors")
    write_weights(run / "other.safetensors", weights, replace(spec, architecture="other toy"))
    told = defocusfix("export", run, run / "other.safetensors", "-o", run / "mean.onnx")
    assert told.exit_code == 5
    assert "cannot be averaged" in told.stderr


def test_existing_files_are_kept_unless_told_otherwise(defocusfix, run):
    (run / "toy.onnx").write_text("mine")
    told = defocusfix("export", run, "-o", run / "toy.onnx")
    assert told.exit_code == 9
    assert (run / "toy.onnx").read_text() == "mine"
    assert defocusfix("export", run, "-o", run / "toy.onnx", "--overwrite").exit_code == 0


def test_a_folder_without_weights_is_refused(defocusfix, tmp_path):
    told = defocusfix("export", tmp_path, "-o", tmp_path / "out.onnx")
    assert told.exit_code == 4
    assert "there are no weights" in told.stderr


@needs_int8
def test_a_form_in_eight_bits_is_made_beside_it_and_taken(defocusfix, tmp_path, monkeypatch):
    for name, few in (("SCENES", 1), ("TRIED", 1), ("SCENE_PX", 64)):
        monkeypatch.setattr(eight_bits, name, few)
    weights = bundled_models_folder() / "focusnet-s" / "model.safetensors"
    told = defocusfix("export", weights, "-o", tmp_path / "net.onnx", "--int8")
    assert told.exit_code == 0, told.stderr
    assert told.stdout.split() == [str(tmp_path / "net.int8.onnx"), str(tmp_path / "net.onnx")]
    assert "blocks; differs by" in told.stderr
    assert open_engine(tmp_path / "net.onnx", precision="int8").precision == "int8"


def test_eight_bits_are_refused_where_they_could_not_be_tried(defocusfix, run, monkeypatch):
    monkeypatch.setattr(select, "has_exact_int8", lambda: False)
    told = defocusfix("export", run, "-o", run / "toy.onnx", "--int8")
    assert told.exit_code == 6
    assert "avx512_vnni" in told.stderr
    assert not list(run.glob("*.onnx"))
