"""Rendered sets on disk: whole shards only, indexed as one list."""

from __future__ import annotations

import numpy as np
import pytest

from defocusfix.errors import InputError, OutputError
from defocusfix.pairs.rendered import RenderedSet, shard_folder, write_facts, write_shard


def arrays(count, value):
    picture = np.full((count, 8, 8, 3), value, np.uint8)
    return picture, picture + 1, np.full((count, 4, 4), value / 2, np.float16)


@pytest.fixture
def rendered(tmp_path):
    write_facts(tmp_path, {"size": 8})
    write_shard(tmp_path, 0, *arrays(3, 10))
    write_shard(tmp_path, 2, *arrays(2, 20))
    return tmp_path


def test_shards_are_read_as_one_list(rendered):
    pairs = RenderedSet(rendered)
    assert len(pairs) == 5
    assert [int(pairs[k][0][0, 0, 0]) for k in range(5)] == [10, 10, 10, 20, 20]
    assert float(pairs[4][2][0, 0]) == 10.0
    assert pairs.facts == {"size": 8}


@pytest.mark.parametrize("index", [-1, 5])
def test_an_index_outside_is_refused(rendered, index):
    with pytest.raises(IndexError):
        RenderedSet(rendered)[index]


def test_an_unfinished_shard_is_not_seen(rendered):
    shard_folder(rendered, 1).with_name("shard-00001.77.part").mkdir()
    assert len(RenderedSet(rendered)) == 5


def test_a_shard_that_is_there_already_stays(rendered):
    write_shard(rendered, 0, *arrays(3, 99))
    assert RenderedSet(rendered)[0][0].max() == 10
    assert not list(rendered.glob("*.part"))


def test_folders_without_facts_or_shards_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"set\.json"):
        RenderedSet(tmp_path)
    write_facts(tmp_path, {})
    with pytest.raises(InputError, match="no rendered pairs"):
        RenderedSet(tmp_path)


def test_a_set_is_not_gone_on_with_in_another_way(rendered):
    write_facts(rendered, {"size": 8, "count": 5})
    write_facts(rendered, {"size": 8, "count": 9})
    with pytest.raises(OutputError, match="it differs in seed, size"):
        write_facts(rendered, {"size": 16, "count": 9, "seed": 1})
    assert RenderedSet(rendered).facts == {"size": 8, "count": 9}


def test_what_networks_restored_is_no_truth(rendered, tmp_path):
    RenderedSet(rendered).require_truth()
    taught = tmp_path / "taught"
    write_facts(taught, {"teachers": ["a"]})
    write_shard(taught, 0, *arrays(1, 10))
    with pytest.raises(InputError, match="what networks restored"):
        RenderedSet(taught).require_truth()
