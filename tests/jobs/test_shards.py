from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.errors import UsageError
from defocusfix.jobs.folders import FolderChoice
from defocusfix.jobs.plan import Item, OnExists, Plan
from defocusfix.jobs.planning import InPlace, make_plan
from defocusfix.jobs.shards import ENDS_BYTES, Shard, Weight, part_of, parts, weight_of
from tests.photo import sample_files as samples

weights_of_photos = st.lists(
    st.builds(
        Weight,
        st.sampled_from([0.0, 0.5, 2.0, 24.0, 24.2, 60.0]),
        st.sampled_from(["", "x", "y"]),
        st.uuids().map(str),
    ),
    max_size=40,
)


@given(weights=weights_of_photos, count=st.integers(1, 9), seed=st.randoms())
def test_every_photo_is_in_one_part_whatever_the_order_and_parts_are_alike(weights, count, seed):
    found = [{weights[n].key for n in part} for part in parts(weights, count)]
    assert sum(map(len, found)) == len(weights)
    assert set().union(*found) == {weight.key for weight in weights}

    loads = [sum(weights[n].megapixels for n in part) for part in parts(weights, count)]
    largest = max((weight.megapixels for weight in weights), default=0)
    assert max(loads) - min(loads) <= largest + 1e-9

    shuffled = seed.sample(weights, len(weights))
    assert [{shuffled[n].key for n in part} for part in parts(shuffled, count)] == found


def plan_of(folder: Path, **options: object) -> Plan:
    for number in range(7):
        (folder / f"{number}.png").write_bytes(samples.png(samples.scene(8 + number, 9)))
    (folder / "broken.jpg").write_bytes(b"nothing of use")
    return make_plan([folder], choice=FolderChoice(), **options)


def test_the_parts_of_a_plan_have_its_items_in_its_order(tmp_path):
    plan = plan_of(tmp_path)
    halves = [part_of(plan, Shard(number, 3)) for number in (1, 2, 3)]
    found = [item for half in halves for item in half.items]
    assert sorted(found, key=plan.items.index) == list(plan.items)
    for half in halves:
        assert list(half.items) == sorted(half.items, key=plan.items.index)
        assert (half.home, half.on_exists) == (plan.home, plan.on_exists)
    assert part_of(plan, Shard(1, 1)) is plan


def test_a_part_is_the_same_when_a_disk_lists_the_photos_in_another_order(tmp_path):
    plan = plan_of(tmp_path)
    backwards = Plan(plan.items[::-1], OnExists.SKIP, plan.home)
    for number in (1, 2):
        keys = [
            {item.key for item in part_of(p, Shard(number, 2)).items} for p in (plan, backwards)
        ]
        assert keys[0] == keys[1]


def test_photos_of_one_size_are_told_apart_by_content_and_not_by_where_they_are(tmp_path):
    content = bytes(3 * ENDS_BYTES)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "c.jpg").write_bytes(content[:-1] + b"x")
    (tmp_path / "d.jpg").write_bytes(content + b"x")
    found = [weight_of(Item(tmp_path / f"{name}.jpg", None)).content for name in "abcd"]
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_a_photo_without_a_known_size_weighs_as_much_as_its_file_suggests(tmp_path):
    (tmp_path / "a.cr3").write_bytes(bytes(2_000_000))
    assert weight_of(Item(tmp_path / "a.cr3", None)).megapixels == 2
    assert weight_of(Item(tmp_path / "missing.jpg", None)) == Weight(0, "", "")
    assert weight_of(Item(None, None, key="-")) == Weight(0, "", "-")


def test_restoring_in_place_changes_no_part(tmp_path):
    plan = plan_of(tmp_path, in_place=InPlace())
    before = part_of(plan, Shard(1, 2))
    for number in range(7):
        path = tmp_path / f"{number}.png"
        path.write_bytes(samples.png(255 - samples.scene(8 + number, 9)))
    assert part_of(plan, Shard(1, 2)) == before


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "x", "1", "-1/2", "1/2/3", ""])
def test_a_part_that_there_is_not_is_refused(text):
    with pytest.raises(UsageError):
        Shard.parse(text)


def test_a_part_is_named_by_two_numbers():
    assert Shard.parse("3/8") == Shard(3, 8)
    assert Shard.parse(" 1 / 1 ") == Shard(1, 1)
