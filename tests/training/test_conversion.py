"""Published weights in every form they come in, and files that are something else."""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
import warnings
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from defocusfix.engines.foreign import write_facts
from defocusfix.engines.model_file import safetensors_shapes
from defocusfix.engines.onnxruntime import OnnxRuntimeEngine
from defocusfix.engines.pytorch import PyTorchEngine
from defocusfix.engines.recognise import runnable_architecture
from defocusfix.errors import ModelError, OutputError
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks import build
from defocusfix.networks.defocusgan import DefocusGenerator
from defocusfix.networks.described import described
from defocusfix.networks.restormer import Restormer
from defocusfix.restoration import RestoreSettings, open_restorer
from defocusfix.training import conversion, export
from defocusfix.training.conversion import convert_to_onnx, read_published, stored_shapes
from defocusfix.training.weights import weights_sha256
from tests.networks import published_defocusgan
from tests.networks.published_restormer import published_shapes, random_weights

SMALL = {"width": 8, "blocks": (1, 1, 1, 1), "refinement": 1, "heads": (1, 2, 2, 4)}
SPEC = NetworkSpec(
    name="restormer-defocus",
    architecture="restormer",
    size_multiple=8,
    halo=Restormer.halo,
    tile=Restormer.tile,
    overlap=Restormer.overlap,
    levels=1,
    outputs=("restored",),
    licence="theirs",
)
WEIGHTS = random_weights(published_shapes(**SMALL))


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setitem(build.BUILDERS, "restormer", partial(Restormer, **SMALL))


def network() -> Restormer:
    restormer = Restormer(**SMALL).eval()
    restormer.load_state_dict(WEIGHTS)
    return restormer


def checkpoint(found: object, **how: object) -> bytes:
    content = io.BytesIO()
    torch.save(found, content, **how)
    return content.getvalue()


def torchscript() -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network(), torch.rand(1, 3, 16, 16))
        torch.jit.save(traced, content)
    return content.getvalue()


FORMS = {
    "safetensors": lambda: save(WEIGHTS),
    "checkpoint": lambda: checkpoint(WEIGHTS),
    "old checkpoint": lambda: checkpoint(WEIGHTS, _use_new_zipfile_serialization=False),
    "nested": lambda: checkpoint({"params": WEIGHTS}),
    "nested beside others": lambda: checkpoint({"iteration": 5, "state_dict": WEIGHTS}),
    "averaged": lambda: checkpoint(
        {"params": {n: t + 1 for n, t in WEIGHTS.items()}, "params_ema": WEIGHTS}
    ),
    "of several devices": lambda: checkpoint({f"module.{n}": t for n, t in WEIGHTS.items()}),
}


@pytest.mark.parametrize("form", sorted(FORMS))
def test_the_same_weights_are_read_in_whatever_form_they_come(tmp_path, form):
    path = tmp_path / "weights.bin"
    path.write_bytes(FORMS[form]())
    found = read_published(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert weights_sha256(found) == weights_sha256(WEIGHTS)
    assert stored_shapes(path) == published_shapes(**SMALL)


def test_torchscript_is_opened_only_with_the_checksum_of_the_catalogue(tmp_path, monkeypatch):
    path = tmp_path / "weights.pt"
    path.write_bytes(torchscript())
    known = hashlib.sha256(path.read_bytes()).hexdigest()
    assert weights_sha256(read_published(path, sha256=known.upper())) == weights_sha256(WEIGHTS)
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(ModelError, match="TorchScript program, and is not run"):
        read_published(path)
    with pytest.raises(ModelError, match="not the file that the catalogue describes") as refusal:
        read_published(path, sha256="ab" * 32)
    assert known in refusal.value.why


def test_torchscript_that_hides_what_it_is_is_not_run_either(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(torchscript())) as old, zipfile.ZipFile(content, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename.replace("constants.pkl", "constant.pkl"), old.read(entry))
    (tmp_path / "weights.pt").write_bytes(content.getvalue())
    with pytest.raises(ModelError):
        read_published(tmp_path / "weights.pt")


class Harmful:
    """What runs a program of its maker when it is unpickled."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self):
        return Path.touch, (self.touched,)


@pytest.mark.parametrize("how", ["plain pickle", "checkpoint", "old checkpoint"])
def test_a_pickle_that_would_run_a_program_does_not(tmp_path, how):
    harmful = {"params": Harmful(tmp_path / "touched")}
    content = pickle.dumps(harmful)
    if how != "plain pickle":
        content = checkpoint(harmful, _use_new_zipfile_serialization=how == "checkpoint")
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(ModelError, match="no readable file of weights"):
        read_published(tmp_path / "weights.pth")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no weights",
        b"PK\x03\x04" + bytes(60),
        checkpoint([1, 2]),
        checkpoint({}),
        checkpoint({"a": 1}),
        checkpoint({5: torch.ones(1)}),
        checkpoint({"params": None}),
        checkpoint({"a": torch.ones(2, 2).to_sparse()}),
        checkpoint({"a": torch.ones(2, dtype=torch.complex64)}),
    ],
    ids=[
        "empty",
        "text",
        "zip",
        "list",
        "none",
        "number",
        "no name",
        "nothing",
        "sparse",
        "complex",
    ],
)
def test_what_is_no_set_of_weights_is_refused(tmp_path, content):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(ModelError, match="no readable file of weights") as refusal:
        read_published(tmp_path / "weights.pth")
    assert refusal.value.why
    assert "\n" not in refusal.value.why


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ModelError, match="cannot be read"):
        read_published(tmp_path / "weights.pth")
    (tmp_path / "weights.pth").write_bytes(checkpoint(WEIGHTS))
    monkeypatch.setattr(conversion, "LARGEST_FILE", 1000)
    with pytest.raises(ModelError, match="cannot be read"):
        read_published(tmp_path / "weights.pth")


def test_an_archive_that_would_fill_the_memory_is_not_unpacked(tmp_path, monkeypatch):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2_000_000))
    (tmp_path / "weights.pth").write_bytes(content.getvalue())
    monkeypatch.setattr(conversion, "LARGEST_FILE", 1_000_000)
    with pytest.raises(ModelError) as refusal:
        read_published(tmp_path / "weights.pth")
    assert "unpacks to more" in refusal.value.why


@settings(max_examples=60)
@given(data=st.data(), form=st.sampled_from(["safetensors", "checkpoint", "old checkpoint"]))
def test_damaged_weights_are_read_or_refused_in_words(tmp_path_factory, data, form):
    tensors = {"a.weight": torch.ones(3, 2), "b": torch.zeros(4)}
    content = bytearray(
        save(tensors)
        if form == "safetensors"
        else checkpoint(tensors, _use_new_zipfile_serialization=form == "checkpoint")
    )
    del content[data.draw(st.integers(len(content) // 2, len(content))) :]
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    path.write_bytes(content)
    with contextlib.suppress(ModelError):
        assert read_published(path)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"output.weight": None}, "missing: output.weight"),
        ({"skip_conv.weight": torch.ones(1)}, "unknown: skip_conv.weight"),
        (
            {"patch_embed.proj.weight": torch.ones(8, 6, 3, 3)},
            "of another shape: patch_embed.proj.weight is (8, 6, 3, 3) instead of (8, 3, 3, 3)",
        ),
        (dict.fromkeys(list(WEIGHTS)[:9]), " and 6 more"),
    ],
    ids=["missing", "extra", "misshapen", "many"],
)
def test_weights_that_do_not_fit_to_the_last_tensor_are_refused(tmp_path, change, words):
    changed = {n: t for n, t in (WEIGHTS | change).items() if t is not None}
    save_file(changed, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"the weights w\.safetensors do not fit") as refusal:
        convert_to_onnx(tmp_path / "w.safetensors", "restormer", tmp_path / "o.onnx", SPEC)
    assert words in refusal.value.why
    assert not (tmp_path / "o.onnx").exists()


def test_an_unknown_architecture_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no network 'nafnet'"):
        convert_to_onnx(tmp_path / "w.pth", "nafnet", tmp_path / "o.onnx", SPEC)


class Tiny(torch.nn.Module):
    """A network that is quickly exported."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image):
        return image + self.layer(image)


def test_a_checkpoint_becomes_a_file_that_runs_and_says_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setitem(build.BUILDERS, "tiny", Tiny)
    torch.manual_seed(0)
    tiny = Tiny()
    weights = {name: tensor.half() for name, tensor in tiny.state_dict().items()}
    (tmp_path / "w.pth").write_bytes(checkpoint({"params": weights}))
    exported = convert_to_onnx(tmp_path / "w.pth", "tiny", tmp_path / "tiny.onnx", SPEC)
    engine = OnnxRuntimeEngine(tmp_path / "tiny.onnx", threads=1)
    digest = weights_sha256(weights)
    assert engine.spec == exported.spec
    assert (engine.spec.name, engine.spec.architecture) == ("restormer-defocus", "tiny")
    assert (engine.spec.licence, engine.spec.weights_sha256) == ("theirs", digest)
    tiny.load_state_dict(weights)
    image = np.random.default_rng(1).random((1, 3, 16, 24), dtype=np.float32)
    with torch.no_grad():
        expected = tiny(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(engine.run({"image": image})["restored"], expected, atol=1e-5)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A TorchScript file as the authors publish it, turned into ONNX with what goes with it."""
    folder = tmp_path_factory.mktemp("converted")
    (folder / "w.pt").write_bytes(torchscript())
    known = hashlib.sha256((folder / "w.pt").read_bytes()).hexdigest()
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(build.BUILDERS, "restormer", partial(Restormer, **SMALL))
        return convert_to_onnx(
            folder / "w.pt", "restormer", folder / "out.onnx", SPEC, sha256=known
        )


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 40), (72, 24)])
def test_the_converted_file_gives_what_the_network_gives_at_any_size(converted, height, width):
    engine = OnnxRuntimeEngine(converted.path, threads=1)
    image = np.random.default_rng(1).random((1, 3, height, width), dtype=np.float32)
    with torch.no_grad():
        expected = network()(torch.from_numpy(image)).numpy()
    assert np.abs(expected - image).max() > 0.05
    np.testing.assert_allclose(engine.run({"image": image})["restored"], expected, atol=1e-4)


@pytest.mark.slow
def test_the_converted_file_says_what_it_is_and_keeps_all_bits(converted):
    digest = weights_sha256(WEIGHTS)
    spec = OnnxRuntimeEngine(converted.path, threads=1).spec
    assert spec == converted.spec
    assert (spec.name, spec.licence, spec.tile, spec.weights_sha256) == (
        "restormer-defocus",
        "theirs",
        384,
        digest,
    )
    kinds = {tensor.data_type for tensor in onnx.load(converted.path).graph.initializer}
    assert onnx.TensorProto.FLOAT16 not in kinds
    assert all(parity.engine == parity.rounding <= 1e-4 for parity in converted.parities)


@pytest.mark.slow
def test_the_graph_divides_by_the_largest_magnitude_before_it_squares(converted):
    operators = [node.op_type for node in onnx.load(converted.path).graph.node]
    n_attentions = sum(SMALL["blocks"]) + sum(SMALL["blocks"][:3]) + SMALL["refinement"]
    assert operators.count("ReduceMax") == 2 * n_attentions
    assert "ReduceL2" not in operators


@pytest.mark.slow
def test_a_photo_larger_than_a_tile_is_restored_with_the_converted_file(converted):
    restorer = open_restorer(
        converted.path,
        engine="onnxruntime",
        device="cpu",
        threads=1,
        settings=RestoreSettings(tile=256),
    )
    photo = np.random.default_rng(2).random((300, 90, 3), dtype=np.float32)
    found = restorer(photo)
    assert found.n_tiles == 2
    assert found.defocus_map is None
    with torch.no_grad():
        image = torch.from_numpy(photo[:296, :88].transpose(2, 0, 1)[None].copy())
        whole = network()(image)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    # Attention over a tile is not that over the photo: near, and no nearer.
    difference = np.abs(found.image[:296, :88] - whole)
    assert 1e-6 < np.median(difference) < 0.01


@pytest.mark.usefixtures("small")
def test_a_file_that_is_there_is_kept_unless_it_may_go(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "PARITY_SIZES", ((1, 1, 1),))
    save_file(WEIGHTS, tmp_path / "w.safetensors")
    (tmp_path / "o.onnx").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        convert_to_onnx(tmp_path / "w.safetensors", "restormer", tmp_path / "o.onnx", SPEC)
    assert (tmp_path / "o.onnx").read_text() == "mine"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_not_converted(tmp_path, value):
    broken = WEIGHTS | {"output.weight": WEIGHTS["output.weight"] * value}
    save_file(broken, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="damaged") as refusal:
        convert_to_onnx(tmp_path / "w.safetensors", "restormer", tmp_path / "o.onnx", SPEC)
    assert refusal.value.why == "with values that are not numbers: output.weight"
    assert not (tmp_path / "o.onnx").exists()


@pytest.mark.usefixtures("small")
def test_torch_runs_published_safetensors_with_facts_beside_them(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(WEIGHTS, path)
    write_facts(path, SPEC, hashlib.sha256(path.read_bytes()).hexdigest())
    engine = PyTorchEngine(path, threads=1)
    image = np.random.default_rng(1).random((1, 3, 16, 24), dtype=np.float32)
    with torch.no_grad():
        expected = network()(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(engine.run({"image": image})["restored"], expected, atol=1e-5)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelError, match="not the file that was checked"):
        PyTorchEngine(path, threads=1)
    assert safetensors_shapes(path) == published_shapes(**SMALL)


@pytest.mark.slow
def test_the_whole_network_goes_from_its_checkpoint_to_a_restored_picture(tmp_path):
    weights = random_weights(published_shapes())
    torch.save({"params": weights}, tmp_path / "single_image_defocus_deblurring.pth")
    source = tmp_path / "single_image_defocus_deblurring.pth"
    architecture = runnable_architecture(stored_shapes(source), source.name)
    exported = convert_to_onnx(source, architecture, tmp_path / "restormer.onnx", SPEC)
    assert max(parity.engine for parity in exported.parities) <= 1e-4
    engine = OnnxRuntimeEngine(exported.path, threads=1)
    image = np.random.default_rng(1).random((1, 3, 40, 56), dtype=np.float32)
    restormer = Restormer().eval()
    restormer.load_state_dict(weights)
    with torch.no_grad():
        expected = restormer(torch.from_numpy(image)).numpy()
    assert np.abs(expected - image).max() > 0.05
    np.testing.assert_allclose(engine.run({"image": image})["restored"], expected, atol=1e-4)


@pytest.mark.slow
def test_a_checkpoint_of_defocusgan_becomes_a_network_that_restores(tmp_path, monkeypatch):
    """As its authors' training leaves it: the critic and both optimisers beside the generator."""
    small = {"width": 8, "blocks": (0, 1, 1, 1)}
    monkeypatch.setitem(build.BUILDERS, "defocusgan", partial(DefocusGenerator, **small))
    monkeypatch.setattr(export, "PARITY_SIZES", ((1, 2, 3),))
    weights = published_defocusgan.random_weights(published_defocusgan.published_shapes(**small))
    layer = torch.nn.Conv2d(3, 3, 3)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.rand(1, 3, 8, 8)).sum().backward()
    optimiser.step()
    rates = torch.optim.lr_scheduler.MultiStepLR(optimiser, [30, 60])
    content = {
        "state_dict": {f"module.{name}": tensor for name, tensor in weights.items()},
        "optimizers": optimiser.state_dict(),
        "schedulers": rates.state_dict(),
        "epoch": 90,
        "state_dict_D": layer.state_dict(),
    }
    source = tmp_path / "90_models.pth"
    torch.save(content, source)
    spec = described(build.build_network("defocusgan"), "defocusgan")
    exported = convert_to_onnx(source, "defocusgan", tmp_path / "defocusgan.onnx", spec)
    engine = OnnxRuntimeEngine(exported.path, threads=1)
    image = np.random.default_rng(1).random((1, 3, 48, 64), dtype=np.float32)
    expected = published_defocusgan.published_forward(
        weights, torch.from_numpy(image), torch.zeros(1, 1, 48, 64), 0.0, small["blocks"]
    )
    found = engine.run({"image": image})["restored"]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
