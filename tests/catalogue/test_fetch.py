"""Sources in order, offline, several processes, disks that take nothing."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading

import pytest

from defocusfix.catalogue import fetch as fetch_module
from defocusfix.catalogue import hub as hub_module
from defocusfix.catalogue.fetch import bring
from defocusfix.catalogue.places import find_places
from defocusfix.catalogue.sources import BundledFile
from defocusfix.catalogue.store import Store
from defocusfix.errors import ModelError, NetworkError, OutputError
from tests.catalogue.conftest import WEIGHTS, an_entry, hub_source
from tests.catalogue.hub_server import COMMIT
from tests.rights import without_roots_rights

FETCH = f"""
import sys
from defocusfix.catalogue.fetch import Listener, fetch
from defocusfix.catalogue.places import find_places
from defocusfix.catalogue.store import Store
from tests.catalogue.conftest import an_entry, hub_source
say = lambda text: print(text, flush=True)
entry = an_entry(hub_source(revision={COMMIT!r}))
print(fetch(entry, Store(find_places()), Listener(lambda size: None, say)).stat().st_size)
"""


def start(*prefix: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", FETCH],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_next_source_is_tried_where_one_fails_and_both_are_told(hub, fetching, web):
    hub.web_file("mirror.bin", WEIGHTS)
    entry = an_entry(hub_source(), web("mirror.bin"))
    assert fetching(entry).read_bytes() == WEIGHTS
    first, why, second = fetching.ear.said
    assert "/someone/weights" in first
    assert "HTTP 404" in why
    assert "next source" in why
    assert second.startswith("some-weights: fetching from 127.0.0.1")


def test_a_source_with_wrong_bytes_does_not_keep_the_next_from_being_tried(hub, fetching, web):
    hub.web_file("wrong.bin", WEIGHTS[::-1])
    hub.hub_file("someone/weights", "net.bin", WEIGHTS)
    entry = an_entry(web("wrong.bin"), hub_source())
    assert fetching(entry).read_bytes() == WEIGHTS
    assert fetching.quarantined() == ["some-weights-net.bin"]


@pytest.mark.parametrize(("status", "error"), [(404, ModelError), (500, NetworkError)])
def test_all_sources_failing_is_of_the_network_if_one_may_answer_later(
    hub, fetching, web, status, error
):
    hub.web_file("mirror.bin", WEIGHTS, statuses=[status])
    with pytest.raises(error) as caught:
        fetching(an_entry(hub_source(), web("mirror.bin")))
    assert "HTTP 404" in caught.value.why
    assert f"HTTP {status}" in caught.value.why
    assert "defocusfix models import net.bin --as some-weights" in caught.value.fix


def test_offline_asks_nobody_and_says_how_to_bring_the_file(hub, fetching):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS)
    with pytest.raises(NetworkError, match="not to be used") as caught:
        fetching(an_entry(), offline=True)
    assert "models import" in caught.value.fix
    assert hub.requests == []
    fetching(an_entry())
    hub.requests.clear()
    assert fetching(an_entry(), offline=True).read_bytes() == WEIGHTS
    assert hub.requests == []


def test_a_file_that_changed_on_the_disk_is_set_aside_and_fetched_again(hub, fetching, web):
    hub.web_file("net.bin", WEIGHTS)
    path = fetching(an_entry(web("net.bin")))
    path.write_bytes(WEIGHTS[:1000] + b"?" + WEIGHTS[1001:])
    assert fetching(an_entry(web("net.bin"))).read_bytes() == WEIGHTS
    assert any("set aside" in text and "sha256" in text for text in fetching.ear.said)


def test_a_damaged_file_in_the_hubs_cache_is_set_aside_and_fetched_again(hub, fetching):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS)
    fetching(an_entry()).write_bytes(b"damaged")  # the same file, by its other name
    assert fetching(an_entry()).read_bytes() == WEIGHTS


def test_another_file_that_the_hub_means_stays_in_its_cache(hub, fetching):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS[::-1])
    other = an_entry(hub_source(revision="main"), content=WEIGHTS[::-1])
    other_path = fetching(other)
    shutil.rmtree(fetching.store.folder(other))
    with pytest.raises(ModelError, match="another file"):
        fetching(an_entry(hub_source(revision="main")))
    (cached,) = fetching.store.places.hub.glob("*/snapshots/*/net.bin")
    assert cached.read_bytes() == WEIGHTS[::-1]
    assert not other_path.exists()


def test_two_processes_that_want_the_same_file_fetch_it_once(hub, fetching):
    served = hub.hub_file("someone/weights", "net.bin", WEIGHTS, hangs=threading.Event())
    first = start()
    assert "fetching from" in first.stdout.readline()
    second = start()
    assert "waiting for it" in second.stdout.readline()
    served.hangs.set()
    assert first.communicate()[0].splitlines()[-1] == str(len(WEIGHTS))
    assert second.communicate()[0].splitlines()[-1] == str(len(WEIGHTS))
    assert len(hub.bodies()) == 1


def test_a_lock_of_a_process_that_was_killed_holds_nobody_up(hub, fetching):
    served = hub.hub_file("someone/weights", "net.bin", WEIGHTS, hangs=threading.Event())
    killed = start()
    assert "fetching from" in killed.stdout.readline()
    killed.kill()
    killed.communicate()
    (lock,) = fetching.store.places.store.glob(".locks/*")
    hub_lock = fetching.store.places.hub / ".locks" / "models--someone--weights"
    hub_lock.mkdir(parents=True)
    (hub_lock / f"{served.etag}.lock").touch()
    served.hangs.set()
    assert lock.exists()
    assert fetching(an_entry()).read_bytes() == WEIGHTS
    assert not any("waiting" in text for text in fetching.ear.said)


def test_a_disk_without_space_is_told_before_anything_is_fetched(hub, fetching, monkeypatch):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS)
    usage = shutil.disk_usage("/")._replace(free=len(WEIGHTS) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match="no space") as caught:
        fetching(an_entry())
    assert "--cache-dir" in caught.value.fix
    assert hub.requests == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_disk_that_fills_up_is_told(hub, fetching, web):
    hub.web_file("net.bin", WEIGHTS)
    entry = an_entry(web("net.bin"))
    fetching.store.folder(entry).mkdir(parents=True)
    (fetching.store.folder(entry) / "net.bin.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="no space"):
        fetching(entry)
    assert not fetching.store.has(entry)


def test_a_disk_that_fills_up_with_the_hubs_cache_is_told(hub, fetching, monkeypatch):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(hub_module._client(), "hf_hub_download", full)
    with pytest.raises(OutputError, match="no space"):
        fetching(an_entry())


def test_a_store_that_cannot_be_made_is_told(hub, fetching, tmp_path):
    (tmp_path / "file").touch()
    fetching.store = Store(find_places(tmp_path / "file" / "inside"))
    with pytest.raises(OutputError, match="no weights can be put into"):
        fetching(an_entry())


@pytest.mark.skipif(sys.platform != "linux", reason="drops root's rights the way Linux has it")
def test_what_is_in_a_cache_that_cannot_be_written_is_used(hub, fetching):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS)
    folder = fetching(an_entry()).parent
    hub.requests.clear()
    without_rights = without_roots_rights()
    folders = [folder, folder.parent, *folder.parent.iterdir()]
    for each in folders:
        each.chmod(0o555)
    try:
        assert start(*without_rights).communicate()[0].split() == [str(len(WEIGHTS))]
        (folder / "net.bin").unlink()
        assert "permission denied" in start(*without_rights).communicate()[0]
    finally:
        for each in folders:
            each.chmod(0o755)
    assert hub.requests == []


def test_a_file_that_the_user_has_is_copied_if_it_is_the_right_one(fetching, tmp_path):
    (tmp_path / "mine.bin").write_bytes(WEIGHTS)
    path = bring(an_entry(), tmp_path / "mine.bin", fetching.store)
    assert path.read_bytes() == WEIGHTS
    assert path.name == "net.bin"
    assert (tmp_path / "mine.bin").exists()
    assert not path.samefile(tmp_path / "mine.bin")


@pytest.mark.parametrize("content", [b"", WEIGHTS[::-1], WEIGHTS[1:]], ids=len)
def test_another_file_is_not_imported(fetching, tmp_path, content):
    (tmp_path / "mine.bin").write_bytes(content)
    with pytest.raises(ModelError, match="is not the file of"):
        bring(an_entry(), tmp_path / "mine.bin", fetching.store)
    assert not fetching.store.has(an_entry())


def test_a_bundled_file_is_only_checked(fetching, tmp_path, monkeypatch):
    from defocusfix.catalogue import store as store_module

    monkeypatch.setattr(store_module, "bundled_models_folder", lambda: tmp_path)
    entry = an_entry(BundledFile("net.bin"))
    with pytest.raises(ModelError, match="missing"):
        fetching(entry)
    (tmp_path / "net.bin").write_bytes(WEIGHTS)
    assert fetching(entry, offline=True) == tmp_path / "net.bin"
    (tmp_path / "net.bin").write_bytes(WEIGHTS[::-1])
    with pytest.raises(ModelError, match="is not the file"):
        fetch_module.fetch(entry, fetching.store, fetching.ear.listener)
