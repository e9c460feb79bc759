"""Files of others: what is refused before a library sees them, and how the rest is called."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from defocusfix.engines import onnxruntime as our_onnxruntime
from defocusfix.engines.facts import facts_file, read_facts
from defocusfix.engines.foreign import check_paths, checked_onnx, write_facts
from defocusfix.engines.model_file import read_spec, safetensors_shapes
from defocusfix.engines.onnxruntime import OnnxRuntimeEngine
from defocusfix.engines.select import Way, absence, open_engine
from defocusfix.engines.work import multiplications_per_pixel
from defocusfix.errors import DeviceError, ModelError, OutputError
from tests.restoration import small_networks

FLOAT16, FLOAT, INT64 = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.INT64


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def brought(path: Path, **kind: object):
    """A stranger's graph with its facts beside it, as it lies after it was fetched."""
    spec = small_networks.of_a_stranger(path, **kind)
    write_facts(path, spec, sha256(path))
    return spec


def picture(height: int, width: int) -> dict[str, np.ndarray]:
    image = np.random.default_rng(0).random((1, 3, height, width), dtype=np.float32)
    return {"image": image}


def in_their_words(path: Path, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: image})
    return found


def opened(path: Path, engine: str):
    if absence(Way(engine, "cpu", "fp32")) is not None:
        pytest.skip(f"{engine} is not installed")
    return open_engine(path, engine=engine, device="cpu", precision="fp32", threads=1)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_graph_with_names_of_its_own_runs_by_ours(tmp_path, engine):
    spec = brought(tmp_path / "net.onnx")
    found = opened(tmp_path / "net.onnx", engine)
    assert found.spec == spec == read_spec(tmp_path / "net.onnx")
    inputs = picture(32, 48)
    expected = in_their_words(tmp_path / "net.onnx", inputs["image"])
    outputs = found.run(inputs)
    assert list(outputs) == ["restored"]
    np.testing.assert_allclose(outputs["restored"], expected, atol=1e-5)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_graph_of_one_size_takes_what_is_smaller_and_nothing_larger(tmp_path, engine):
    brought(tmp_path / "net.onnx", height=64, width=96)
    found = opened(tmp_path / "net.onnx", engine)
    assert (found.spec.tile, found.spec.size_multiple) == (64, 1)
    for height, width in ((64, 96), (40, 96), (1, 7), (33, 50)):
        inputs = picture(height, width)
        rim = [(0, 0), (0, 0), (0, 64 - height), (0, 96 - width)]
        expected = in_their_words(
            tmp_path / "net.onnx", np.pad(inputs["image"], rim, mode="reflect")
        )
        restored = found.run(inputs)["restored"]
        assert restored.shape == (1, 3, height, width)
        np.testing.assert_allclose(restored, expected[..., :height, :width], atol=1e-5)
    with pytest.raises(DeviceError, match="takes no tiles of 96 x 80 px") as refusal:
        found.run(picture(80, 96))
    assert "96 x 64" in refusal.value.why


def test_a_graph_of_one_width_and_any_height_is_run_in_tiles_of_that_width(tmp_path):
    brought(tmp_path / "net.onnx", width=48)
    found = opened(tmp_path / "net.onnx", "onnxruntime")
    assert (found.spec.tile, found.spec.size_multiple) == (48, 16)
    assert found.run(picture(160, 32))["restored"].shape == (1, 3, 160, 32)


def test_a_graph_in_float16_is_fed_float16_and_gives_float32(tmp_path):
    brought(tmp_path / "net.onnx", element_type=FLOAT16)
    inputs = picture(32, 32)
    restored = opened(tmp_path / "net.onnx", "onnxruntime").run(inputs)["restored"]
    expected = in_their_words(tmp_path / "net.onnx", inputs["image"].astype(np.float16))
    assert restored.dtype == np.float32
    np.testing.assert_array_equal(restored, expected.astype(np.float32))


def test_multiplications_are_counted_in_graphs_of_others_too(tmp_path):
    for kind in ({}, {"height": 64, "width": 64}):
        brought(tmp_path / "net.onnx", **kind)
        assert multiplications_per_pixel(tmp_path / "net.onnx") == 2 * 3 * 4 * 9


def test_of_several_outputs_the_facts_say_which_one_is_meant(tmp_path):
    path = tmp_path / "net.onnx"
    spec = brought(path)
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("features", FLOAT, (1, 4, None, None)))
    onnx.save(model, path)
    with pytest.raises(ModelError, match="cannot be run as strange") as refusal:
        write_facts(path, spec, sha256(path))
    assert refusal.value.why == "outputs features, output.1 instead of restored"
    facts = replace(read_facts(path), sha256=sha256(path))
    assert checked_onnx(path, spec, facts).outputs == {"restored": "output.1"}
    beside = json.loads(facts_file(path).read_text()) | {"sha256": facts.sha256}
    facts_file(path).write_text(json.dumps(beside))
    assert list(opened(path, "onnxruntime").run(picture(16, 16))) == ["restored"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": 1}, "1 channels instead of 3"),
        ({"channels": 6}, "6 channels instead of 3"),
        ({"batch": 4}, "takes 4 images at once"),
    ],
    ids=str,
)
def test_a_graph_of_another_kind_is_refused(tmp_path, change, words):
    spec = small_networks.of_a_stranger(tmp_path / "net.onnx", **change)
    with pytest.raises(ModelError, match=words):
        write_facts(tmp_path / "net.onnx", spec, sha256(tmp_path / "net.onnx"))


@pytest.mark.parametrize(
    ("shape", "element_type", "words"),
    [
        ((3, None, None), FLOAT, "no batch of images"),
        ((1, None, None, 3), INT64, "neither float32 nor float16"),
        ((1, 64, 64, 3), FLOAT, "64 channels instead of 3"),
        (None, FLOAT, "no batch of images"),
    ],
)
def test_an_input_that_is_no_batch_of_colour_images_is_refused(
    tmp_path, shape, element_type, words
):
    path = tmp_path / "net.onnx"
    spec = small_networks.of_a_stranger(path)
    model = onnx.load(path)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("lq", element_type, shape))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=words):
        checked_onnx(path, spec)


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "DepthToSpace", "Flatten"])
def test_a_graph_that_gives_no_picture_of_the_same_size_is_found_out(tmp_path, operator):
    path = tmp_path / "net.onnx"
    spec = small_networks.of_a_stranger(path)
    model = onnx.load(path)
    node = model.graph.node[-1]
    node.output[0] = "picture"
    if operator == "DepthToSpace":
        again = helper.make_node("Concat", ["picture"] * 4, ["four"], axis=1)
        model.graph.node.append(again)
        last = helper.make_node(operator, ["four"], ["output.1"], blocksize=2)
    else:
        last = helper.make_node(operator, ["picture"], ["output.1"])
    model.graph.node.append(last)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    write_facts(path, spec, sha256(path))
    with pytest.raises(ModelError, match="something else than a restored picture") as refusal:
        opened(path, "onnxruntime").run(picture(16, 32))
    assert "'output.1' has the shape (1, " in refusal.value.why


def test_inputs_left_over_are_refused(tmp_path):
    path = tmp_path / "net.onnx"
    spec = small_networks.of_a_stranger(path)
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("noise", FLOAT, (1,)))
    onnx.save(model, path)
    with pytest.raises(ModelError, match="description") as refusal:
        checked_onnx(path, spec)
    assert refusal.value.why == "inputs lq, noise instead of image"


def with_weights_in(path: Path, location: str) -> None:
    small_networks.of_a_stranger(path)
    model = onnx.load(path)
    weight = model.graph.initializer[0]
    content = weight.raw_data
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    with contextlib.suppress(OSError, ValueError):
        (path.parent / "weights.bin").write_bytes(content)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/etc/passwd", "outside its folder"),
        ("../weights.bin", "outside its folder"),
        ("inner/../../weights.bin", "outside its folder"),
        ("C:\\weights.bin", "outside its folder"),
        ("..\\weights.bin", "outside its folder"),
        ("\\\\server\\share\\weights.bin", "outside its folder"),
        ("link.bin", "leads out of its folder"),
        ("linked/weights.bin", "leads out of its folder"),
        ("ring.bin", "not there"),
        ("missing.bin", "not there"),
        ("nul\0.bin", "not there"),
        ("*/_ORT_MEM_ADDR_/*", "not there"),
        ("inner", "no file"),
        ("", "does not name"),
    ],
)
def test_weights_outside_the_folder_are_refused_before_a_library_sees_the_file(
    tmp_path, monkeypatch, location, words
):
    folder, outside = tmp_path / "models", tmp_path / "outside"
    (folder / "inner").mkdir(parents=True)
    outside.mkdir()
    (outside / "weights.bin").write_bytes(bytes(432))
    (folder / "link.bin").symlink_to(outside / "weights.bin")
    (folder / "linked").symlink_to(outside, target_is_directory=True)
    (folder / "ring.bin").symlink_to(folder / "ring.bin")
    path = folder / "net.onnx"
    with_weights_in(path, location)
    with pytest.raises(ModelError, match="not loaded") as refusal:
        check_paths(path)
    assert words in refusal.value.why
    model = onnx.load(path, load_external_data=False)
    spec = small_networks.of_a_stranger(tmp_path / "other.onnx")
    helper.set_model_props(model, spec.to_metadata())
    path.write_bytes(model.SerializeToString())
    monkeypatch.setattr(
        our_onnxruntime, "load_session", lambda *_, **__: pytest.fail("a library saw it")
    )
    with pytest.raises(ModelError, match="not loaded"):
        OnnxRuntimeEngine(path)


@pytest.mark.parametrize("location", ["weights.bin", "./weights.bin"])
def test_weights_in_a_file_of_the_same_folder_are_taken(tmp_path, location):
    path = tmp_path / "net.onnx"
    with_weights_in(path, location)
    write_facts(path, small_networks.of_a_stranger(tmp_path / "whole.onnx"), sha256(path))
    inputs = picture(32, 32)
    restored = opened(path, "onnxruntime").run(inputs)["restored"]
    expected = in_their_words(tmp_path / "whole.onnx", inputs["image"])
    np.testing.assert_allclose(restored, expected, atol=1e-6)


def test_a_graph_that_was_compiled_for_a_device_is_refused(tmp_path):
    path = tmp_path / "net.onnx"
    small_networks.of_a_stranger(path)
    model = onnx.load(path)
    model.graph.node[1].CopyFrom(
        helper.make_node("EPContext", ["features"], ["rectified"], domain="com.microsoft")
    )
    onnx.save(model, path)
    with pytest.raises(ModelError, match="not loaded") as refusal:
        check_paths(path)
    assert "EPContext" in refusal.value.why


def test_a_file_that_changed_after_it_was_checked_is_not_loaded(tmp_path):
    path = tmp_path / "net.onnx"
    brought(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not the file that was checked") as refusal:
        opened(path, "onnxruntime")
    assert sha256(path) in refusal.value.why


def test_facts_are_written_only_for_the_file_with_the_checksum(tmp_path):
    path = tmp_path / "net.onnx"
    spec = small_networks.of_a_stranger(path)
    with pytest.raises(ModelError, match="not the file"):
        write_facts(path, spec, "ab" * 32)
    assert not facts_file(path).exists()
    write_facts(path, spec, sha256(path).upper())
    facts = read_facts(path)
    assert (facts.spec, facts.sha256) == (spec, sha256(path))
    assert (facts.graph_inputs, facts.graph_outputs) == (("lq",), ("output.1",))


def test_facts_that_cannot_be_written_are_an_output_error(tmp_path):
    spec = small_networks.of_a_stranger(tmp_path / "net.onnx")
    facts_file(tmp_path / "net.onnx").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_facts(tmp_path / "net.onnx", spec, sha256(tmp_path / "net.onnx"))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"sha256": "ab"}',
        "[" * 100_000,
        '{"sha256": 5}',
        "\0",
    ],
    ids=["empty", "list", "nothing", "no spec", "deep", "number", "no text"],
)
def test_facts_that_cannot_be_understood_are_refused(tmp_path, content):
    path = tmp_path / "net.onnx"
    brought(path)
    facts_file(path).write_text(content)
    with pytest.raises(ModelError, match=r"does not say what net\.onnx is"):
        read_spec(path)


def test_names_in_facts_must_be_lists_of_texts(tmp_path):
    path = tmp_path / "net.onnx"
    brought(path)
    entries = json.loads(facts_file(path).read_text())
    facts_file(path).write_text(json.dumps(entries | {"graph_inputs": "lq"}))
    with pytest.raises(ModelError, match="does not say"):
        read_spec(path)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
def test_checkpoints_of_torch_are_sent_to_import(tmp_path, suffix):
    (tmp_path / f"net{suffix}").write_bytes(b"PK")
    with pytest.raises(ModelError, match="neither an ONNX nor a safetensors") as refusal:
        read_spec(tmp_path / f"net{suffix}")
    assert "models import" in refusal.value.fix


def test_a_stranger_without_facts_is_sent_to_import(tmp_path):
    small_networks.of_a_stranger(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="lacks the entry") as refusal:
        opened(tmp_path / "net.onnx", "onnxruntime")
    assert "models import" in refusal.value.fix


def test_names_and_shapes_of_safetensors_are_read_from_their_header(tmp_path):
    header = json.dumps(
        {"a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    ).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    assert safetensors_shapes(path) == {"a.weight": (2, 3)}


@given(content=st.binary(max_size=64), claimed=st.integers(0, 2**64 - 1))
def test_headers_of_safetensors_that_make_no_sense_are_refused(tmp_path_factory, content, claimed):
    path = tmp_path_factory.getbasetemp() / "w.safetensors"
    for size in (claimed, len(content)):
        path.write_bytes(size.to_bytes(8, "little") + content)
        with pytest.raises(ModelError):
            read_spec(path)
        with contextlib.suppress(ModelError):
            safetensors_shapes(path)
    deep = b'{"a":' + b"[" * 100_000
    path.write_bytes(len(deep).to_bytes(8, "little") + deep)
    with pytest.raises(ModelError):
        safetensors_shapes(path)


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_graph_is_loaded_or_refused_in_words(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "hostile.onnx"
    spec = small_networks.of_a_stranger(path)
    model = onnx.load(path)
    helper.set_model_props(model, spec.to_metadata())
    content = bytearray(model.SerializeToString())
    del content[data.draw(st.integers(len(content) // 2, len(content))) :]
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(ModelError):
        assert OnnxRuntimeEngine(path, threads=1).spec.name
