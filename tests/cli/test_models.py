"""`defocusfix models` and `restore --model ID`, as typed, with a Hub on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from defocusfix.catalogue import entries
from defocusfix.cli import weights
from defocusfix.network_spec import NetworkSpec
from tests.catalogue.hub_server import COMMIT, HubServer, hub_of_this_machine
from tests.conftest import Told
from tests.photo import sample_files as samples
from tests.restoration import small_networks

ROOT = Path(__file__).parents[2]
HELPER = np.random.default_rng(0).bytes(50_000)
LICENCES = """
[licences.free]
name = "MIT"
url = "https://example.org/mit"
commercial = "yes"
[licences.strict]
name = "Strict"
url = "https://example.org/strict"
commercial = "no"
must_accept = true
terms = "Only for research. Ask before anything else."
"""
ENTRY = """
[models.{id}]
title = "{id}"
task = "{task}"
architecture = "{architecture}"
format = "{format}"
file = "{file}"
content = {{ size = {size}, sha256 = "{sha256}" }}
sources = [{{ hub = "someone/{id}", revision = "{commit}" }}]
licence = "{licence}"
training_data = "none"
size_multiple = 16
halo = 16
"""


@dataclass
class World:
    """A Hub and a catalogue with a network (`net`), a restricted one (`strict`), a helper."""

    hub: HubServer
    models: Path
    network: bytes

    def __post_init__(self) -> None:
        self.text = LICENCES

    def add(self, name: str, content: bytes, **facts: str) -> None:
        known = {
            "task": "defocus",
            "architecture": "other",
            "format": "onnx",
            "file": "net.onnx",
            "licence": "free",
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "commit": COMMIT,
        }
        told = {**known, **facts}
        self.text += ENTRY.format(id=name, **told)
        (self.models / entries.CATALOGUE_FILE).write_text(self.text)
        self.hub.hub_file(f"someone/{name}", told["file"], content)
        entries.read_catalogue.cache_clear()

    def serve(self, name: str, content: bytes, **moods: object) -> None:
        self.hub.hub_file(f"someone/{name}", "net.onnx", content, **moods)


@pytest.fixture
def world(monkeypatch, tmp_path) -> Iterator[World]:
    small_networks.of_a_stranger(tmp_path / "network.onnx")
    models = tmp_path / "models"
    models.mkdir()
    monkeypatch.setattr(entries, "bundled_models_folder", lambda: models)
    with hub_of_this_machine(monkeypatch) as hub:
        world = World(hub, models, (tmp_path / "network.onnx").read_bytes())
        world.add("net", world.network)
        world.add("strict", world.network, licence="strict")
        world.add("helper", HELPER, task="alignment", format="pickle", file="helper.pth")
        yield world
    entries.read_catalogue.cache_clear()


@pytest.fixture
def photo(tmp_path, monkeypatch) -> str:
    folder = tmp_path / "photos"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "photo.png").write_bytes(samples.png(samples.scene()))
    return "photo.png"


def objects(told: Told) -> list[dict]:
    return [json.loads(line) for line in told.stdout.splitlines()]


def demands(*words: object) -> tuple[object, ...]:
    return (*words, "--engine", "onnxruntime", "--device", "cpu", "--threads", 1)


def test_the_list_says_of_all_weights_what_they_are_for_and_whether_they_are_here(
    defocusfix, world
):
    told = defocusfix("models", "list")
    assert told.exit_code == 0
    assert told.stdout.splitlines()[0].split() == [
        *("id", "for", "size", "licence", "commercial", "here")
    ]
    assert "strict  defocus" in told.stdout
    defocusfix("models", "pull", "net")
    states = {each["id"]: each["state"] for each in objects(defocusfix("models", "list", "--json"))}
    assert states == {"net": "ready", "strict": "absent", "helper": "absent"}


def test_the_shipped_catalogue_is_listed_and_shown(defocusfix):
    assert "focusnet-s" in defocusfix("models", "list").stdout
    for each in objects(defocusfix("models", "list", "--json")):
        shown = defocusfix("models", "show", each["id"])
        assert shown.exit_code == 0
        assert each["sha256"] in shown.stdout
        assert each["licence"]["url"] in shown.stdout
    page = defocusfix("models", "show", "restormer-defocus").stdout
    for fact in ("non-commercial", "104,763,682 bytes", "DPDD", "25.98", "not verified from here"):
        assert fact in " ".join(page.split())


def test_pulling_fetches_verifies_and_tells_the_terms_and_the_path(defocusfix, world):
    told = defocusfix("models", "pull", "net")
    assert told.exit_code == 0
    assert "net: MIT, commercial use: yes, https://example.org/mit" in told.stderr
    assert "verified" in told.stderr
    assert Path(told.stdout.strip()).read_bytes() == world.network
    assert defocusfix("models", "path", "net").stdout == told.stdout

    world.hub.requests.clear()
    again = defocusfix("models", "pull", "net", "--json")
    assert world.hub.requests == []
    assert "MIT" not in again.stderr
    (facts,) = objects(again)
    assert (facts["state"], facts["path"]) == ("ready", told.stdout.strip())


def test_several_are_pulled_at_once(defocusfix, world):
    told = defocusfix("models", "pull", "net", "helper")
    assert [Path(line).name for line in told.stdout.splitlines()] == ["net.onnx", "helper.pth"]


def test_a_flipped_byte_is_caught_and_named_and_exits_5(defocusfix, world):
    wrong = world.network[:99] + bytes([world.network[99] ^ 1]) + world.network[100:]
    world.serve("net", wrong, told_sum=hashlib.sha256(world.network).hexdigest())
    told = defocusfix("models", "pull", "net")
    assert told.exit_code == 5
    assert hashlib.sha256(wrong).hexdigest() in told.stderr
    assert hashlib.sha256(world.network).hexdigest() in told.stderr
    assert defocusfix("models", "path", "net").exit_code == 5


def test_a_network_that_is_not_to_be_had_exits_7(defocusfix, world, monkeypatch):
    world.serve("net", world.network, statuses=[503])
    told = defocusfix("models", "pull", "net", "--json")
    assert told.exit_code == 7
    assert "models import net.onnx --as net" in told.stderr
    (event,) = objects(told)
    assert (event["event"], event["exit_code"]) == ("error", 7)
    assert defocusfix("models", "pull", "helper", "--offline").exit_code == 7
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert defocusfix("models", "pull", "helper").exit_code == 7


def test_restrictive_terms_must_be_accepted_once(defocusfix, world, monkeypatch):
    refused = defocusfix("models", "pull", "strict")
    assert refused.exit_code == 5
    assert "Only for research." in refused.stderr
    assert "defocusfix models pull strict --accept-licence" in refused.stderr
    assert world.hub.requests == []

    monkeypatch.setattr(weights, "can_ask", lambda: True)
    answers = iter([False, True])
    monkeypatch.setattr(weights.typer, "confirm", lambda *_, **__: next(answers))
    assert "not accepted" in defocusfix("models", "pull", "strict").stderr
    assert defocusfix("models", "pull", "strict").exit_code == 0
    assert defocusfix("models", "rm", "strict").exit_code == 0
    again = defocusfix("models", "pull", "strict")
    assert again.exit_code == 0
    assert "Only for research." not in again.stderr


def test_scripts_accept_terms_with_an_option(defocusfix, world):
    assert defocusfix("models", "pull", "strict", "--accept-licence").exit_code == 0
    (facts,) = [o for o in objects(defocusfix("models", "list", "--json")) if o["id"] == "strict"]
    assert facts["licence"]["accepted"]


def test_verify_finds_a_file_that_changed_and_pull_brings_it_back(defocusfix, world):
    assert defocusfix("models", "verify").stdout == ""
    file = Path(defocusfix("models", "pull", "helper").stdout.strip())
    assert defocusfix("models", "verify").stdout == "helper: as it should be\n"
    file.write_bytes(HELPER[:-1] + b"?")
    told = defocusfix("models", "verify", "--json")
    assert told.exit_code == 5
    (facts,) = objects(told)
    assert not facts["ok"]
    assert "sha256" in facts["told"]
    assert not file.exists()
    assert defocusfix("models", "pull", "helper").exit_code == 0
    assert defocusfix("models", "verify", "helper").exit_code == 0
    assert defocusfix("models", "verify", "net").exit_code == 5


def test_a_file_brought_by_hand_is_imported(defocusfix, world, tmp_path):
    told = defocusfix("models", "import", tmp_path / "network.onnx", "--as", "net")
    assert told.exit_code == 0
    assert Path(told.stdout.strip()).read_bytes() == world.network
    assert world.hub.requests == []
    (tmp_path / "other.onnx").write_bytes(world.network[:-1])
    refused = defocusfix("models", "import", tmp_path / "other.onnx", "--as", "net")
    assert refused.exit_code == 5
    assert "is not the file of" in refused.stderr


@pytest.mark.parametrize(
    ("file", "content", "word"),
    [
        ("net.onnx", b"", "not in the catalogue"),
        ("net.safetensors", b"\x02\0\0\0\0\0\0\0{}", "unknown network"),
    ],
)
def test_a_file_of_no_known_network_is_not_imported(
    defocusfix, world, tmp_path, file, content, word
):
    (tmp_path / file).write_bytes(content)
    told = defocusfix("models", "import", tmp_path / file, "--as", "mine")
    assert told.exit_code == 5
    assert word in told.stderr
    assert defocusfix("models", "import", tmp_path / file, "--as", "My Net").exit_code == 2


def test_a_checkpoint_of_ones_own_is_recognised_and_restores_under_its_name(
    defocusfix, world, photo, tmp_path, monkeypatch
):
    def convert(source: Path, architecture: str, output: Path, spec: NetworkSpec, **_: object):
        assert (source.name, architecture) == ("mine.safetensors", "restormer")
        small_networks.image_to_restored(output, name=spec.name, architecture=architecture)

    world.add("published", HELPER, architecture="restormer", format="pickle", file="it.pth")
    monkeypatch.setattr("defocusfix.training.conversion.convert_to_onnx", convert)
    monkeypatch.setattr(
        "defocusfix.engines.recognise.runnable_architecture", lambda shapes, name: "restormer"
    )
    (tmp_path / "mine.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    command = ("models", "import", tmp_path / "mine.safetensors", "--as", "mine")
    assert defocusfix(*command).exit_code == 0
    assert defocusfix(*demands("restore", photo, "--model", "mine")).exit_code == 0
    assert "mine" in defocusfix("models", "list").stdout
    assert Path(defocusfix("models", "path", "mine").stdout.strip()).name == "mine.onnx"
    assert defocusfix("models", "rm", "mine").exit_code == 0
    assert defocusfix("models", "path", "mine").exit_code == 5


def test_what_is_removed_is_no_longer_here(defocusfix, world):
    defocusfix("models", "pull", "net")
    assert "removed net" in defocusfix("models", "rm", "net").stderr
    assert defocusfix("models", "path", "net").exit_code == 5
    assert defocusfix("models", "rm", "net").exit_code == 5


def test_a_folder_of_ones_own_holds_the_weights(defocusfix, world, tmp_path, photo, monkeypatch):
    told = defocusfix("models", "pull", "net", "--cache-dir", tmp_path / "mine")
    assert told.stdout.startswith(str(tmp_path / "mine"))
    assert defocusfix("models", "path", "net").exit_code == 5
    command = demands("restore", photo, "--model", "net", "--cache-dir", tmp_path / "mine")
    assert defocusfix(*command).exit_code == 0
    monkeypatch.setenv("DEFOCUSFIX_CACHE_DIR", str(tmp_path / "mine"))
    assert defocusfix("models", "path", "net").stdout == told.stdout


def test_restoring_with_weights_that_are_not_here_says_what_to_type(defocusfix, world, photo):
    told = defocusfix(*demands("restore", photo, "--model", "strict"))
    assert told.exit_code == 5
    assert "defocusfix models pull strict --accept-licence" in told.stderr
    assert world.hub.requests == []
    nearest = defocusfix(*demands("restore", photo, "--model", "stric"))
    assert nearest.exit_code == 5
    assert "strict" in nearest.stderr
    assert "restores no photos" in defocusfix("restore", photo, "--model", "helper").stderr


def test_restoring_on_a_terminal_asks_fetches_and_restores(defocusfix, world, photo, monkeypatch):
    monkeypatch.setattr(weights, "can_ask", lambda: True)
    asked = []
    monkeypatch.setattr(weights.typer, "confirm", lambda text, **_: asked.append(text) or True)
    told = defocusfix(*demands("restore", photo, "--model", "net"))
    assert told.exit_code == 0
    assert [text.partition(",")[0] for text in asked] == ["Fetch net"]
    assert Path("photo_restored.png").is_file()

    world.hub.requests.clear()
    again = defocusfix(*demands("restore", photo, "--model", "net", "--on-exists", "overwrite"))
    assert again.exit_code == 0
    assert len(asked) == 1
    assert world.hub.requests == []


def test_a_byte_that_flips_after_the_download_keeps_restore_from_loading_the_file(
    defocusfix, world, photo
):
    path = Path(defocusfix("models", "pull", "net").stdout.strip())
    content = path.read_bytes()
    path.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    told = defocusfix(*demands("restore", photo, "--model", "net"))
    assert told.exit_code == 5
    assert "sha256" in told.stderr


def test_an_export_of_ones_own_needs_no_catalogue(defocusfix, photo, tmp_path, monkeypatch):
    small_networks.addition(tmp_path / "photos" / "mine.onnx", 0.1, name="mine")
    assert defocusfix(*demands("restore", photo, "--model", "./mine.onnx")).exit_code == 0


def test_bundled_weights_tell_their_licence_once(defocusfix, photo):
    command = demands("restore", photo, "--crop", "0,0,32,32", "--on-exists", "overwrite")
    assert "focusnet-s: Apache-2.0, commercial use: yes" in defocusfix(*command).stderr
    again = defocusfix(*command)
    assert again.exit_code == 0
    assert "Apache-2.0" not in again.stderr


def test_restoring_with_bundled_weights_loads_no_client_of_the_hub(photo):
    words = [str(word) for word in demands("restore", photo, "--crop", "0,0,32,32")]
    program = (
        f"import sys; from defocusfix.cli.app import run; assert run({words}) == 0\n"
        "print(*sorted({'huggingface_hub', 'httpx2', 'httpx', 'torch'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert told.stdout.strip() == ""


def test_a_checkpoint_is_turned_into_onnx_and_restores(defocusfix, world, photo, monkeypatch):
    def convert(source: Path, architecture: str, output: Path, spec: NetworkSpec, **_: object):
        assert source.read_bytes() == HELPER
        small_networks.image_to_restored(output, name=spec.name, architecture=architecture)

    # The real one takes torch a minute, and has tests of its own.
    monkeypatch.setattr("defocusfix.training.conversion.convert_to_onnx", convert)
    world.add("other", HELPER, architecture="restormer", format="pickle", file="other.pth")
    assert defocusfix("models", "pull", "other").exit_code == 0
    assert defocusfix(*demands("restore", photo, "--model", "other")).exit_code == 0

    made = Path(defocusfix("models", "path", "other").stdout.strip())
    assert made.name == "other.onnx"
    with made.open("ab") as file:
        file.write(b"!")
    again = demands("restore", photo, "--model", "other", "--on-exists", "overwrite")
    assert defocusfix(*again).exit_code == 5
    assert defocusfix("models", "verify", "other").exit_code == 5
    assert defocusfix("models", "pull", "other").exit_code == 0
    assert defocusfix(*again).exit_code == 0


def test_weights_that_need_torch_say_so_before_they_are_fetched(defocusfix, world, monkeypatch):
    world.add("other", HELPER, architecture="other", format="pickle", file="other.pth")
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    told = defocusfix("models", "pull", "other")
    assert told.exit_code == 5
    assert "pip install 'defocusfix[train]'" in told.stderr
    assert "models pull net" in told.stderr
    assert world.hub.requests == []


@pytest.mark.slow
def test_a_hundred_megabytes_come_with_their_progress(defocusfix, world, monkeypatch):
    from defocusfix.cli import progress

    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    content = np.random.default_rng(1).bytes(100_000_000)
    world.add("large", content, task="alignment", file="large.bin")
    told = defocusfix("models", "pull", "large")
    assert told.exit_code == 0
    lines = [line for line in told.stderr.splitlines() if line.startswith("Fetching large ")]
    assert len(lines) > 5
    assert "100 of 100 MB" in lines[-1]
    assert Path(told.stdout.strip()).stat().st_size == 100_000_000
    shutil.rmtree(Path(told.stdout.strip()).parent)
