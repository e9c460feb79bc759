from __future__ import annotations

import json

import pytest

from tests.restoration import small_networks


@pytest.fixture
def path(tmp_path):
    small_networks.convolutions(tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_it_shows_the_machine_the_engines_and_what_restoring_takes(defocusfix, path):
    told = defocusfix("doctor", "--model", path)
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert any(line.split()[:3] == ["onnxruntime", "cpu", "fp32"] for line in lines)
    for words in ("processor", "Restoring uses", "8-bit photos", "deeper photos", "numpy", "To do"):
        assert words in told.stdout
    assert any("deeper photos" in line and "in fp32" in line for line in lines)


def test_an_engine_that_is_missing_is_shown_with_what_to_install(defocusfix, path, monkeypatch):
    monkeypatch.setattr(
        "defocusfix.engines.select.find_spec",
        lambda name: name if name == "onnxruntime" else None,
    )
    told = defocusfix("doctor", "--model", path)
    (line,) = [x for x in told.stdout.splitlines() if x.split()[:2] == ["openvino", "cpu"]]
    assert "no: there is no package openvino; pip install 'defocusfix[openvino]'" in line
    assert "onnxruntime on cpu in fp32" in told.stdout


def test_json_says_the_same(defocusfix, path):
    told = defocusfix("doctor", "--json", "--model", path)
    found = json.loads(told.stdout)
    assert found["schema"] == 1
    working = [e for e in found["engines"] if e["works"]]
    assert {"onnxruntime"} <= {e["engine"] for e in working}
    assert all(e["why"] for e in found["engines"] if not e["works"])
    assert found["choice"]["deeper photos"]["way"].endswith("in fp32")
    assert found["machine"]["cores"] >= 1
    assert found["packages"]["numpy"]
    assert found["extras"]["rawpy"]["install"] == "defocusfix[raw]"


def test_weights_that_are_missing_are_an_error_of_their_own(defocusfix, tmp_path):
    assert defocusfix("doctor", "--model", tmp_path / "none.onnx").exit_code == 5
