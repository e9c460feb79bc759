"""Work beside the network: the same results, in the same order, and errors come out."""

from __future__ import annotations

import threading

import pytest

from defocusfix.restoration.overlap import overlapped


@pytest.mark.parametrize("n_items", [0, 1, 2, 7])
def test_every_item_is_prepared_computed_and_finished_in_order(n_items):
    done = []
    overlapped(
        list(range(n_items)),
        prepare=lambda item: item * 10,
        compute=lambda item, prepared: prepared + item,
        finish=lambda item, found: done.append((item, found)),
    )
    assert done == [(item, 11 * item) for item in range(n_items)]


def test_a_single_item_starts_no_thread():
    threads = []

    def step(*_):
        threads.append(threading.current_thread())

    overlapped([0], step, step, step)
    assert threads == [threading.current_thread()] * 3


def test_while_one_item_is_computed_the_next_is_prepared_and_the_last_finished():
    prepared, finished = (
        [threading.Event() for _ in range(4)],
        [threading.Event() for _ in range(4)],
    )
    threads = set()

    def prepare(item):
        threads.add(threading.current_thread())
        prepared[item].set()

    def compute(item, _):
        # Would wait for ever if these were done one after the other.
        assert item == 3 or prepared[item + 1].wait(10)
        assert item == 0 or finished[item - 1].wait(10)

    def finish(item, _):
        threads.add(threading.current_thread())
        finished[item].set()

    overlapped(range(4), prepare, compute, finish)
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_no_more_than_two_items_are_under_way():
    under_way = most = 0

    def prepare(item):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)

    def finish(item, found):
        nonlocal under_way
        under_way -= 1

    overlapped(range(20), prepare, lambda item, prepared: None, finish)
    assert most <= 3  # one computed, one prepared, and one about to be finished
    assert under_way == 0


@pytest.mark.parametrize("where", ["prepare", "compute", "finish"])
def test_an_error_anywhere_ends_the_work_and_leaves_no_thread(where):
    done = []

    def step(name):
        def run(item, *_):
            if name == where and item == 2:
                raise MemoryError(name)
            done.append((name, item))

        return run

    before = threading.active_count()
    with pytest.raises(MemoryError, match=where):
        overlapped(range(9), step("prepare"), step("compute"), step("finish"))
    assert threading.active_count() == before
    assert max(item for _, item in done) <= 4
