"""Plain downloads from a server on this machine."""

from __future__ import annotations

import threading

import pytest

from defocusfix.catalogue.patience import Patience
from defocusfix.errors import ModelError, NetworkError
from tests.catalogue.conftest import WEIGHTS, an_entry


@pytest.fixture
def from_web(web):
    """An entry whose file lies at `net.bin` of an ordinary server."""
    return an_entry(web("net.bin"))


def begin_of_a_download(fetching, entry, content):
    part = fetching.store.folder(entry) / f"{entry.file}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_file_is_fetched_and_its_bytes_are_counted(hub, fetching, from_web, tells_length):
    hub.web_file("net.bin", WEIGHTS, tells_length=tells_length)
    assert fetching(from_web).read_bytes() == WEIGHTS
    assert fetching.ear.sizes[0] == 0
    assert fetching.ear.sizes == sorted(fetching.ear.sizes)
    assert fetching.ear.sizes[-1] == len(WEIGHTS)
    hub.requests.clear()
    fetching(from_web)
    assert hub.requests == []


def test_a_cut_connection_is_taken_up_where_it_was_cut(hub, fetching, from_web):
    hub.web_file("net.bin", WEIGHTS, cuts=[100_000, 50_000])
    assert fetching(from_web).read_bytes() == WEIGHTS
    assert [r.range for r in hub.requests] == [None, "bytes=100000-", "bytes=150000-"]


def test_a_server_that_always_cuts_is_given_up_and_the_next_run_goes_on(hub, fetching, from_web):
    served = hub.web_file("net.bin", WEIGHTS, cuts=[1000, 0, 0, 0])
    with pytest.raises(NetworkError, match="cut after 1,000 of 300,000 bytes"):
        fetching(from_web)
    assert served.cuts == []
    hub.requests.clear()
    assert fetching(from_web).read_bytes() == WEIGHTS
    assert [request.range for request in hub.requests] == ["bytes=1000-"]


def test_a_server_that_knows_no_ranges_gives_the_whole_file_again(hub, fetching, from_web):
    hub.web_file("net.bin", WEIGHTS, cuts=[100_000], knows_ranges=False)
    assert fetching(from_web).read_bytes() == WEIGHTS


@pytest.mark.parametrize("old", [b"other bytes", WEIGHTS[::-1], WEIGHTS + b"!"])
def test_a_download_that_began_with_another_file_is_made_anew(hub, fetching, from_web, old):
    begin_of_a_download(fetching, from_web, old)
    hub.web_file("net.bin", WEIGHTS)
    assert fetching(from_web).read_bytes() == WEIGHTS
    assert fetching.quarantined() == []


def test_wrong_bytes_are_caught_named_and_set_aside(hub, fetching, from_web):
    hub.web_file("net.bin", WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1]))
    with pytest.raises(ModelError, match=from_web.sha256):
        fetching(from_web)
    assert fetching.quarantined() == ["some-weights-net.bin"]
    assert not fetching.store.has(from_web)


@pytest.mark.parametrize("size", [299_999, 300_001, 900_000])
@pytest.mark.parametrize("tells_length", [True, False])
def test_a_file_of_another_size_is_refused(hub, fetching, from_web, size, tells_length):
    hub.web_file("net.bin", (WEIGHTS * 3)[:size], tells_length=tells_length)
    with pytest.raises(ModelError, match="another file"):
        fetching(from_web)
    assert fetching.ear.sizes[-1:] <= [len(WEIGHTS) + 2**18]


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, ModelError), (404, ModelError), (429, NetworkError), (500, NetworkError)],
)
def test_errors_of_the_server_are_of_the_model_or_of_the_network(
    hub, fetching, from_web, status, error
):
    hub.web_file("net.bin", WEIGHTS, statuses=[status])
    with pytest.raises(error, match=f"HTTP {status}"):
        fetching(from_web)
    assert len(hub.requests) == 1


def test_a_server_that_does_not_answer_is_given_up_soon(hub, fetching, from_web):
    hub.web_file("net.bin", WEIGHTS, hangs=threading.Event())
    with pytest.raises(NetworkError, match="cannot be reached"):
        fetching(from_web, patience=Patience(seconds=0.2))
    assert len(hub.requests) == 1


def test_a_server_that_is_not_there_is_told(fetching, web):
    with pytest.raises(NetworkError, match="refused") as caught:
        fetching(an_entry(type(web("x"))("http://127.0.0.1:9/net.bin")))
    assert "http://127.0.0.1:9/net.bin" in caught.value.fix


def test_a_proxy_is_asked_for_files_of_other_servers(hub, fetching, web, monkeypatch):
    monkeypatch.setenv("http_proxy", hub.address)
    entry = an_entry(type(web("x"))("http://weights.example/net.bin"))
    hub.files["http://weights.example/net.bin"] = hub.web_file("net.bin", WEIGHTS)
    assert fetching(entry).read_bytes() == WEIGHTS
    assert hub.requests[0].path == "http://weights.example/net.bin"
