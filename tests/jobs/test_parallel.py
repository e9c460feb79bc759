"""Photos in work at the same time: every one is done once, and one end is the end of all."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import chain, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defocusfix.errors import DeviceError, InputError
from defocusfix.jobs.events import Finished, PhotoDone, PhotoFailed, PhotoStarted, Progress
from defocusfix.jobs.parallel import OneByOne, abreast
from defocusfix.jobs.plan import Item, OnExists, Plan
from defocusfix.jobs.run import Stop, Stopped, run_plan
from tests.jobs.test_run import StandIn

WAIT = 20  # seconds until a test that waits for another thread has failed


@pytest.fixture
def plan_of(tmp_path):
    def make(n_photos: int) -> Plan:
        names = [tmp_path / f"{number:03}" for number in range(n_photos)]
        return Plan(tuple(Item(n, Path(f"{n}.out")) for n in names), OnExists.ERROR)

    return make


def short(item: Item) -> str:
    return Path(item.name).name


def raising(works: list[StandIn], plan: Plan, number: int, error: Exception) -> None:
    """Let a photo fail while it is computed; those from the tenth on wait until it does."""
    failed = threading.Event()

    def fail():
        failed.set()
        raise error

    for work in works:
        work.computing = {item.name: lambda: failed.wait(WAIT) for item in plan.items[10:]}
        work.computing[plan.items[number].name] = fail


@given(n_things=st.integers(0, 50), n_threads=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_things_are_given_to_one_thread_each_and_in_order(n_things, n_threads):
    things = OneByOne(range(n_things))
    got = abreast([lambda _: list(things)] * n_threads, lambda told: None, lambda: None)
    assert sorted(chain.from_iterable(got)) == list(range(n_things))
    assert all(a < b for part in got for a, b in pairwise(part))


def test_what_lanes_tell_arrives_in_the_calling_thread():
    threads = set()

    def lane(tell):
        for number in range(50):
            tell(number)

    told = []

    def tell(number):
        threads.add(threading.current_thread())
        told.append(number)

    abreast([lane, lane], tell, lambda: None)
    assert Counter(told) == dict.fromkeys(range(50), 2)
    assert threads == {threading.current_thread()}


def test_every_photo_is_done_once_and_two_at_the_same_time(plan_of):
    plan, works, events = plan_of(6), [StandIn(), StandIn()], []
    begun, second_began = [], threading.Event()

    def wait_for_another():
        begun.append(threading.current_thread())
        if len(begun) == 2:
            second_began.set()
        assert second_began.wait(WAIT)

    for work in works:
        work.computing = {item.name: wait_for_another for item in plan.items}
    finished = run_plan(plan, works[0], events.append, beside=works[1:])
    done = [short(event.item) for event in events if isinstance(event, PhotoDone)]
    assert sorted(done) == [short(item) for item in plan.items]
    assert (finished.n_done, finished.n_left, finished.failed) == (6, 0, ())
    assert finished.megapixels == pytest.approx(0.06)
    assert events[-1] is finished
    assert begun[0] is not begun[1]


def test_the_events_of_one_photo_come_in_their_order(plan_of):
    events = []
    run_plan(plan_of(8), StandIn(), events.append, beside=[StandIn(), StandIn()])
    for number in range(8):
        of_photo = [
            type(e) for e in events if hasattr(e, "item") and short(e.item) == f"{number:03}"
        ]
        assert of_photo == [PhotoStarted, Progress, Progress, PhotoDone]


def test_a_photo_that_fails_stops_none_of_the_others(plan_of):
    plan = plan_of(5)
    failing = {("read", plan.items[1].name): InputError("broken")}
    events = []
    finished = run_plan(plan, StandIn(failing), events.append, beside=[StandIn(failing)])
    assert [short(failure.item) for failure in finished.failed] == ["001"]
    assert finished.n_done == 4
    assert sum(isinstance(event, PhotoFailed) for event in events) == 1


def test_an_error_that_concerns_all_ends_all_lanes_and_is_raised(plan_of):
    plan, works, events = plan_of(60), [StandIn(), StandIn()], []
    raising(works, plan, 2, DeviceError("no memory"))
    with pytest.raises(DeviceError, match="no memory"):
        run_plan(plan, works[0], events.append, beside=works[1:])
    (finished,) = (event for event in events if isinstance(event, Finished))
    saved = sum(step == "save" for work in works for step, _ in work.steps)
    assert finished.n_done == saved
    assert finished.n_left == 60 - saved > 0


def test_an_error_nobody_foresaw_ends_all_lanes_too(plan_of):
    plan, works = plan_of(60), [StandIn(), StandIn()]
    raising(works, plan, 0, ZeroDivisionError("a mistake of ours"))
    with pytest.raises(ZeroDivisionError):
        run_plan(plan, works[0], lambda event: None, beside=works[1:])
    assert sum(step == "compute" for work in works for step, _ in work.steps) < 60


def test_the_first_failure_is_the_last_photo_of_all_lanes_where_that_is_wished(plan_of):
    plan, works = plan_of(60), [StandIn(), StandIn()]
    raising(works, plan, 3, InputError("broken"))
    finished = run_plan(plan, works[0], lambda event: None, beside=works[1:], fails_fast=True)
    assert finished.n_left > 0
    assert [short(failure.item) for failure in finished.failed] == ["003"]


def test_a_run_that_is_asked_to_stop_saves_what_is_computed_in_every_lane(plan_of):
    plan = plan_of(60)
    stop = Stop()
    events = []

    def tell(event):
        events.append(event)
        if sum(isinstance(event, PhotoDone) for event in events) == 4:
            stop.ask()

    works = [StandIn(), StandIn()]
    with pytest.raises(Stopped) as stopped:
        run_plan(plan, works[0], tell, beside=works[1:], stop=stop)
    finished = stopped.value.finished
    saved = sum(step == "save" for work in works for step, _ in work.steps)
    assert finished.n_done == saved == sum(isinstance(event, PhotoDone) for event in events)
    assert finished.n_left == 60 - saved > 0


def test_an_interruption_of_the_calling_thread_ends_all_lanes(plan_of):
    plan, works = plan_of(60), [StandIn(), StandIn()]
    interrupted = threading.Event()
    for work in works:
        work.computing = {item.name: lambda: interrupted.wait(WAIT) for item in plan.items[10:]}

    def tell(event):
        if isinstance(event, PhotoDone):
            interrupted.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, works[0], tell, beside=works[1:])
    assert sum(step == "compute" for work in works for step, _ in work.steps) < 60
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane")]
