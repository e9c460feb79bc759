"""The real client of the Hub against a Hub on this machine."""

from __future__ import annotations

import threading

import pytest

from defocusfix.errors import ModelError, NetworkError
from tests.catalogue.conftest import HASTY, WEIGHTS, an_entry, hub_source
from tests.catalogue.hub_server import COMMIT

SHA1 = "ab" * 20  # as of a small file, which says nothing of the content


def test_a_file_is_fetched_into_the_hubs_cache_and_linked_into_the_store(hub, fetching):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS)
    path = fetching(an_entry())
    assert path == fetching.store.places.store / "some-weights" / "net.bin"
    assert path.read_bytes() == WEIGHTS
    (cached,) = fetching.store.places.hub.glob(f"models--someone--weights/snapshots/{COMMIT}/*")
    assert cached.resolve().samefile(path)
    assert fetching.ear.sizes[-1] == len(WEIGHTS)
    assert [request.path for request in hub.bodies()] == ["/cdn/someone/weights/net.bin"]


def test_a_second_time_makes_no_request(hub, fetching):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS)
    fetching(an_entry())
    hub.requests.clear()
    assert fetching(an_entry()).read_bytes() == WEIGHTS
    assert hub.requests == []


def test_a_file_that_another_program_fetched_is_taken_without_a_request(hub, fetching):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS)
    fetching(an_entry())
    fetching.store.file(an_entry()).unlink()
    hub.requests.clear()
    assert fetching(an_entry(), offline=True).read_bytes() == WEIGHTS
    assert hub.requests == []


def test_spaces_branches_and_small_files_work_as_well(hub, fetching):
    hub.hub_file("spaces/someone/demo", "deep/net.bin", WEIGHTS, is_large=False)
    source = hub_source("someone/demo", "deep/net.bin", repo_type="space", revision="main")
    assert fetching(an_entry(source)).read_bytes() == WEIGHTS


def test_a_cut_connection_is_taken_up_where_it_was_cut(hub, fetching):
    content = WEIGHTS * 80  # the client takes pieces of 10 MiB and forgets one that is cut
    hub.hub_file("someone/weights", "net.bin", content, cuts=[22_000_000])
    assert fetching(an_entry(content=content)).read_bytes() == content
    assert [request.range for request in hub.bodies()] == [None, f"bytes={20 * 2**20}-"]
    assert fetching.ear.sizes == [0, 10 * 2**20, 20 * 2**20, len(content)]


@pytest.mark.parametrize("is_large", [True, False])
def test_wrong_bytes_that_the_hub_says_are_right_are_caught_and_set_aside(hub, fetching, is_large):
    wrong = bytes([WEIGHTS[0] ^ 1]) + WEIGHTS[1:]
    right = an_entry().sha256
    told = right if is_large else SHA1
    hub.hub_file("someone/weights", "net.bin", wrong, told_sum=told, is_large=is_large)
    with pytest.raises(ModelError) as caught:
        fetching(an_entry())
    assert right in str(caught.value)
    assert "another file" in str(caught.value)
    assert not fetching.store.file(an_entry()).exists()
    assert fetching.quarantined() == ["some-weights-net.bin"]
    assert not list(fetching.store.places.hub.glob("*/snapshots/*/*"))

    # It is fetched afresh, not taken from the cache again.
    served = hub.hub_file("someone/weights", "net.bin", WEIGHTS, is_large=is_large)
    assert fetching(an_entry()).read_bytes() == served.content


@pytest.mark.parametrize(
    ("moods", "word"),
    [({}, "sha256"), ({"told_size": 12345}, "12,345 bytes instead of 300,000")],
)
def test_another_file_is_refused_before_it_is_fetched(hub, fetching, moods, word):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS[::-1], **moods)
    with pytest.raises(ModelError, match=word):
        fetching(an_entry())
    assert hub.bodies() == []


def test_a_file_of_another_size_than_told_is_refused(hub, fetching):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS[:-5], told_sum=SHA1, is_large=False)
    with pytest.raises(ModelError, match="299,995"):
        fetching(an_entry())


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_file_that_is_not_given_is_a_problem_of_the_model(hub, fetching, status):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS, statuses=[status] * 3)
    with pytest.raises(ModelError, match=f"HTTP {status}") as caught:
        fetching(an_entry())
    assert "models import net.bin --as some-weights" in caught.value.fix


def test_a_file_that_the_hub_does_not_know_is_a_problem_of_the_model(hub, fetching):
    with pytest.raises(ModelError, match="HTTP 404"):
        fetching(an_entry())


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_in_trouble_is_a_problem_of_the_network(hub, fetching, status):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS, statuses=[status] * 3)
    with pytest.raises(NetworkError, match=f"HTTP {status}"):
        fetching(an_entry())
    assert len(hub.requests) == 1


def test_trouble_while_the_content_is_asked_for_is_told_as_well(hub, fetching):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS, body_statuses=[500] * 3)
    with pytest.raises(NetworkError, match="HTTP 500"):
        fetching(an_entry())


def test_a_hub_that_does_not_answer_is_given_up_soon(hub, fetching):
    hub.hub_file("someone/weights", "net.bin", WEIGHTS, hangs=threading.Event())
    with pytest.raises(NetworkError, match="cannot be reached"):
        fetching(an_entry(), patience=type(HASTY)(seconds=0.2))
    assert len(hub.requests) == 1


def test_a_hub_that_is_not_there_is_given_up_at_once(hub, fetching, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the port that discards
    with pytest.raises(NetworkError, match="cannot be reached") as caught:
        fetching(an_entry())
    assert "HF_ENDPOINT" in caught.value.fix
    assert "/someone/weights/resolve/" in caught.value.fix


def test_a_mirror_is_asked_instead_of_the_hub(hub, fetching, monkeypatch):
    hub.hub_file("mirror/someone/weights", "net.bin", WEIGHTS)
    monkeypatch.setenv("HF_ENDPOINT", f"{hub.address}/mirror/")
    assert fetching(an_entry()).read_bytes() == WEIGHTS
    assert all("mirror" in request.path for request in hub.requests)
