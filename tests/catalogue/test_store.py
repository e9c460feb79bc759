"""Folders, terms that are remembered, and what is taken away again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from defocusfix.catalogue import licences
from defocusfix.catalogue.entries import Licence
from defocusfix.catalogue.places import find_places, is_offline, settings_folder
from defocusfix.catalogue.store import FACTS_ENDING, Receipt, Store, find_weights, is_path
from defocusfix.errors import ModelError, OutputError
from tests.catalogue.conftest import WEIGHTS, an_entry

RESTRICTED = Licence(
    name="Strict", url="https://example.org", commercial="no", must_accept=True, terms="Ask us."
)


def test_weights_are_where_the_hubs_client_would_put_them(monkeypatch, home):
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    places = find_places()
    assert places.hub == home / "hf_home" / "hub"
    assert places.store == home / "hf_home" / "defocusfix"
    monkeypatch.setenv("HF_HUB_CACHE", "~/elsewhere")
    assert find_places().hub == home / "elsewhere"
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.delenv("HF_HOME")
    assert find_places().hub == home / "xdg_cache_home" / "huggingface" / "hub"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert find_places().hub == home / ".cache" / "huggingface" / "hub"


def test_a_folder_of_ones_own_holds_everything(monkeypatch, tmp_path):
    monkeypatch.setenv("DEFOCUSFIX_CACHE_DIR", str(tmp_path / "variable"))
    assert find_places().store == tmp_path / "variable" / "defocusfix"
    assert find_places(tmp_path / "option").hub == tmp_path / "option" / "hub"


@pytest.mark.parametrize(
    ("value", "expected"), [("1", True), ("yes", True), ("0", False), ("", False)]
)
def test_the_hubs_variable_forbids_the_network(monkeypatch, value, expected):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert is_offline() == expected


def test_terms_are_known_once_they_were_remembered_and_until_they_change():
    entry = an_entry(licence=RESTRICTED)
    assert not licences.is_known(entry)
    licences.remember(entry)
    assert licences.is_known(entry)
    assert not licences.is_known(an_entry(id="others", licence=RESTRICTED))
    assert not licences.is_known(an_entry())  # under the same name, with other terms


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_memory_of_terms_is_none(content):
    settings_folder().mkdir(parents=True)
    (settings_folder() / licences.FILE).write_text(content)
    assert not licences.is_known(an_entry())
    licences.remember(an_entry())
    assert licences.is_known(an_entry())


def test_an_acceptance_that_cannot_be_noted_is_told_and_mere_knowledge_is_not():
    settings_folder().parent.mkdir(parents=True)
    settings_folder().touch()
    licences.remember(an_entry())
    with pytest.raises(OutputError, match="accepted"):
        licences.remember(an_entry(licence=RESTRICTED))


def kept(entry, tmp_path: Path) -> Store:
    store = Store(find_places())
    (tmp_path / "came.bin").write_bytes(WEIGHTS)
    with store.held(entry, lambda: None):
        store.keep(entry, tmp_path / "came.bin", Receipt("a friend"))
    return store


def test_a_network_is_ready_once_its_facts_lie_beside_it(tmp_path):
    entry = an_entry(task="defocus")
    store = kept(entry, tmp_path)
    assert store.state(entry) == "not ready"
    with pytest.raises(ModelError, match="not here yet"):
        store.weights(entry)
    file = store.file(entry)
    file.with_name(file.name + FACTS_ENDING).write_text(json.dumps({}))
    assert store.state(entry) == "ready"
    assert store.weights(entry) == file


def test_helpers_are_ready_as_they_are_and_restore_nothing(tmp_path):
    entry = an_entry(task="alignment")
    store = kept(entry, tmp_path)
    assert store.state(entry) == "ready"
    with pytest.raises(ModelError, match="restores no photos"):
        store.weights(entry)


def test_what_is_removed_is_gone_with_all_that_was_made_of_it(tmp_path):
    entry = an_entry()
    store = kept(entry, tmp_path)
    assert store.receipt(entry).source == "a friend"
    assert store.remove(entry) >= len(WEIGHTS)
    assert store.state(entry) == "absent"
    assert not store.folder(entry).exists()
    with pytest.raises(ModelError, match="not here"):
        store.remove(entry)


def test_what_was_fetched_is_removed_from_the_hubs_cache_as_well(hub, fetching):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS)
    fetching(an_entry())
    fetching.store.remove(an_entry())
    assert not list(fetching.store.places.hub.glob("models--*"))


def test_what_other_programs_fetched_stays_in_the_hubs_cache(hub, fetching):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS)
    fetching(an_entry())
    (fetching.store.folder(an_entry()) / "receipt.json").unlink()
    fetching.store.file(an_entry()).unlink()
    fetching(an_entry())
    fetching.store.remove(an_entry())
    assert len(list(fetching.store.places.hub.glob("models--*/snapshots/*/net.bin"))) == 1


def test_weights_of_ones_own_are_found_by_their_name(tmp_path):
    store = Store(find_places(tmp_path))
    own = store.place_for_own("mine")
    own.write_bytes(b"graph")
    with pytest.raises(ModelError, match="no weights called 'mine'"):
        find_weights("mine", store)
    own.with_name(own.name + FACTS_ENDING).write_text("{}")
    assert find_weights("mine", store) == own
    assert store.own_names() == ["mine"]


def test_a_path_is_told_from_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_path("net.onnx")
    assert is_path("runs/mine")
    assert is_path(Path("./mine.onnx"))
    assert not is_path("focusnet-s")
    (tmp_path / "focusnet-s").mkdir()
    assert is_path("focusnet-s")
