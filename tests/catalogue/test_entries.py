"""The catalogue as it is shipped, and what a catalogue may not say."""

from __future__ import annotations

import hashlib

import pytest

from defocusfix.bundled import bundled_models_folder
from defocusfix.catalogue.entries import CATALOGUE_FILE, find_entry, parse_catalogue, read_catalogue
from defocusfix.catalogue.sources import BundledFile, HubFile, WebFile
from defocusfix.catalogue.store import FACTS_ENDING
from defocusfix.engines.facts import ENDING
from defocusfix.engines.model_file import read_spec
from defocusfix.errors import ModelError
from defocusfix.networks.build import BUILDERS

ENTRIES = list(read_catalogue().values())
BUNDLED = [entry for entry in ENTRIES if entry.is_bundled]


def by_id(entry):
    return entry.id


def test_the_entries_that_were_asked_for_are_there():
    assert {
        "focusnet-s",
        "restormer-defocus",
        "restormer-defocus-onnx",
        "raft-small",
        "nafnet-motion",
        "vgg19-features",
        "lpips-alex",
    } <= set(read_catalogue())


@pytest.mark.parametrize("entry", BUNDLED, ids=by_id)
def test_a_bundled_file_is_the_one_of_the_catalogue(entry):
    (source,) = entry.sources
    content = (bundled_models_folder() / source.path).read_bytes()
    right = f'{{ size = {len(content)}, sha256 = "{hashlib.sha256(content).hexdigest()}" }}'
    shipped = f'{{ size = {entry.size_bytes}, sha256 = "{entry.sha256}" }}'
    assert shipped == right, f"in models/{CATALOGUE_FILE}, {entry.id}: content = {right}"


@pytest.mark.parametrize("entry", BUNDLED, ids=by_id)
def test_what_lies_beside_a_bundled_file_is_in_the_catalogue_too(entry):
    (source,) = entry.sources
    folder = (bundled_models_folder() / source.path).parent
    others = sorted(f for f in folder.iterdir() if f.suffix in (".onnx", ".safetensors"))
    right = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in others}
    del right[entry.file]
    assert dict(entry.beside) == right, f"in models/{CATALOGUE_FILE}, {entry.id}: {right}"


@pytest.mark.parametrize("entry", BUNDLED, ids=by_id)
def test_the_catalogue_says_of_a_bundled_network_what_its_file_says(entry):
    inside, told = read_spec(bundled_models_folder() / entry.sources[0].path), entry.spec()
    for fact in ("name", "architecture", "licence", "value_range", "size_multiple", "halo"):
        assert getattr(inside, fact) == getattr(told, fact)
    for fact in ("levels", "outputs", "inputs", "tile", "overlap"):
        assert getattr(inside, fact) == getattr(told, fact)


def test_every_bundled_network_is_in_the_catalogue():
    folders = {file.parent.name for file in bundled_models_folder().glob("*/model.onnx")}
    assert folders == {entry.id for entry in BUNDLED}


@pytest.mark.parametrize("entry", ENTRIES, ids=by_id)
def test_an_entry_says_who_may_use_it_where_it_is_and_whether_we_had_it(entry):
    assert entry.licence.name
    assert entry.licence.url.startswith("https://")
    assert entry.training_data
    for source in entry.sources:
        assert isinstance(source, BundledFile | HubFile) or source.url.startswith("https://")
    assert bool(entry.verified) != entry.is_bundled


@pytest.mark.parametrize("entry", ENTRIES, ids=by_id)
def test_weights_that_must_be_converted_are_of_a_network_that_can_be_built(entry):
    if entry.restores and entry.format not in ("onnx", "safetensors"):
        assert entry.architecture in BUILDERS


def test_only_restricted_terms_have_to_be_accepted():
    restricted = {entry.id for entry in ENTRIES if entry.licence.must_accept}
    assert restricted == {"restormer-defocus", "restormer-defocus-onnx"}
    assert find_entry("restormer-defocus").licence.commercial == "no"


def test_helpers_have_no_network_spec():
    assert find_entry("raft-small").spec() is None
    assert find_entry("restormer-defocus").spec().size_multiple == 8


def test_an_unknown_name_is_answered_with_the_nearest_one():
    with pytest.raises(ModelError, match="restormer-defocus"):
        find_entry("restormer-defocs")


def test_facts_of_weights_have_the_ending_that_engines_look_for():
    assert FACTS_ENDING == ENDING


LICENCE = '[licences.mit]\nname = "MIT"\nurl = "https://example.org"\ncommercial = "yes"\n'
ENTRY = f"""
[models.net]
title = "A net"
task = "defocus"
architecture = "net"
format = "onnx"
file = "net.onnx"
content = {{ size = 3, sha256 = "{"ab" * 32}" }}
sources = [{{ hub = "someone/weights", revision = "main" }}, {{ url = "https://example.org/net" }}]
licence = "mit"
training_data = "none"
"""


def test_a_catalogue_is_read():
    entry = parse_catalogue(LICENCE + ENTRY)["net"]
    first, second = entry.sources
    assert first == HubFile(repo="someone/weights", file="net.onnx", revision="main")
    assert first.url == "https://huggingface.co/someone/weights/resolve/main/net.onnx"
    assert second == WebFile("https://example.org/net")
    assert entry.size_is_exact


@pytest.mark.parametrize(
    ("right", "wrong", "word"),
    [
        ('title = "A net"\n', "", "title"),
        ('licence = "mit"', 'licence = "gpl"', "gpl"),
        ('format = "onnx"', 'format = "exe"', "format"),
        ('file = "net.onnx"', 'file = "../net.onnx"', "no plain name"),
        ("abab", "ABAB", "sha256"),
        ("size = 3", "size = 0", "size"),
        ('licence = "mit"', f'licence = "mit"\nbeside."a.onnx" = "{"ab" * 32}"', "only a bundled"),
        ('licence = "mit"', 'licence = "mit"\nbeside."a.onnx" = "ab"', "sha256"),
        ('revision = "main"', 'revision = "main", type = "bucket"', "type"),
        ('task = "defocus"', 'task = "defocus"\nsize_multiple = 0', "size_multiple"),
        ('task = "defocus"', 'task = "defocus"\ncolour = "red"', "colour"),
        ('commercial = "yes"', 'commercial = "perhaps"', "commercial"),
        ('commercial = "yes"', 'commercial = "yes"\nmust_accept = true', "terms"),
        ("[models.net]", "[models.Net]", "small letters"),
        ("[models.net]", "[models.net", "damaged"),
    ],
)
def test_a_flaw_in_a_catalogue_is_named(right, wrong, word):
    assert right in LICENCE + ENTRY
    with pytest.raises(ModelError, match=word):
        parse_catalogue((LICENCE + ENTRY).replace(right, wrong, 1))
