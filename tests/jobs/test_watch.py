"""A folder that changes while it is watched, with a clock that only moves when somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.errors import InputError, OutputError
from defocusfix.jobs.events import Finished, PhotoFailed
from defocusfix.jobs.folders import Found, find_photos
from defocusfix.jobs.plan import Item
from defocusfix.jobs.watch import Patience, Watcher, can_be_read
from defocusfix.photo.limits import DEFAULT
from tests.photo import sample_files as samples

FOLDER = Path("photos")
SETTLE_S, GIVE_UP_S = 2.0, 30.0


class World:
    """Photos with their sizes, what happens to them at what time, and what is handed on when."""

    def __init__(self, **photos: int) -> None:
        self.now = 0.0
        self.sizes = photos
        self.broken: set[str] = set()
        self.is_there = True
        self.to_happen: list[tuple[float, Callable[[], object]]] = []
        self.batches: list[tuple[float, list[str]]] = []
        self.checked: list[str] = []
        self.told: list[str] = []
        self.restoring: Callable[[], object] = lambda: None
        self.failing: set[str] = set()

    def at(self, seconds: float, happening: Callable[[], object]) -> None:
        self.to_happen.append((seconds, happening))

    def arrives(self, seconds: float, name: str, size: int) -> None:
        self.at(seconds, lambda: self.sizes.update({name: size}))

    def find(self, folder: Path) -> list[Found]:
        if not self.is_there:
            raise InputError(f"the folder {folder} cannot be read", why="no such file or directory")
        return [Found(FOLDER / name, FOLDER, name, size, size) for name, size in self.sizes.items()]

    def restore(self, photos: Sequence[Found]) -> Finished:
        self.batches.append((self.now, [photo.key for photo in photos]))
        self.restoring()
        failed = [Item(photo.path, None) for photo in photos if photo.key in self.failing]
        return Finished(
            n_done=len(photos) - len(failed),
            n_skipped=0,
            failed=tuple(PhotoFailed(item, InputError("broken")) for item in failed),
            seconds=1.0,
        )

    def is_whole(self, path: Path) -> bool:
        self.checked.append(path.name)
        return path.name not in self.broken

    def sleep(self, seconds: float) -> None:
        assert seconds <= 0.5
        self.now += seconds
        due = [one for one in self.to_happen if one[0] <= self.now]
        self.to_happen = [one for one in self.to_happen if one[0] > self.now]
        for _, happening in sorted(due, key=lambda one: one[0]):
            happening()

    def watch(self, until: float, **options: object) -> list[tuple[float, list[str]]]:
        watcher = Watcher(
            [FOLDER],
            find=self.find,
            restore=self.restore,
            is_whole=self.is_whole,
            tell=self.told.append,
            patience=Patience(SETTLE_S, GIVE_UP_S),
            clock=lambda: self.now,
            sleep=self.sleep,
            **options,
        )
        watcher.run(lambda: self.now >= until)
        return self.batches


def test_photos_that_are_there_come_first_and_together():
    world = World(a=1, b=2)
    world.arrives(1.5, "c", 3)
    assert world.watch(20) == [(2.0, ["a", "b"]), (4.0, ["c"])]


def test_a_photo_is_handed_on_once():
    world = World(a=1)
    world.watch(100)
    assert len(world.batches) == 1


def test_a_photo_that_grows_is_waited_for():
    world = World()
    for second in range(1, 10):
        world.arrives(second, "a", second)
    ((when, names),) = world.watch(60)
    assert names == ["a"]
    assert 9 + SETTLE_S <= when <= 9 + SETTLE_S + 2


def test_a_copy_that_stalls_is_not_taken_for_a_photo():
    world = World()
    world.broken.add("a")
    world.arrives(1, "a", 500)
    world.at(15, lambda: (world.broken.clear(), world.sizes.update(a=1000)))
    ((when, _),) = world.watch(100)
    assert when >= 15 + SETTLE_S
    assert world.checked == ["a", "a"]  # not again and again while nothing changes


def test_what_stays_broken_is_handed_on_to_be_told_as_failed_and_then_left_alone():
    world = World()
    world.broken.add("a")
    world.arrives(1, "a", 500)
    ((when, _),) = world.watch(200)
    assert 1 + GIVE_UP_S <= when <= 1 + GIVE_UP_S + 2


def test_what_failed_is_tried_again_once_it_has_changed():
    world = World(a=1)
    world.failing.add("a")
    world.arrives(50, "a", 2)
    assert [names for _, names in world.watch(100)] == [["a"], ["a"]]


def test_a_photo_that_changes_while_it_is_restored_is_restored_again():
    world = World(a=1)
    world.restoring = lambda: world.sizes.update(a=2)
    assert [names for _, names in world.watch(100)] == [["a"], ["a"]]


def test_photos_in_their_own_place_are_not_new_because_they_were_restored(tmp_path):
    photo = tmp_path / "a.tif"
    photo.write_bytes(b"blurred")
    world = World()

    def find(folder: Path) -> list[Found]:
        return list(find_photos(tmp_path).photos)

    world.find = find
    world.restoring = lambda: photo.write_bytes(b"in focus now")
    world.watch(50, replaces_photos=True)
    assert len(world.batches) == 1


def test_a_photo_that_could_not_be_replaced_because_it_was_saved_is_new(tmp_path):
    photo = tmp_path / "a.tif"
    photo.write_bytes(b"blurred")
    world = World()

    def save_elsewhere() -> None:
        photo.write_bytes(b"saved by an editor")
        world.restoring = world.failing.clear

    world.find = lambda folder: list(find_photos(tmp_path).photos)
    world.failing.add("a.tif")
    world.restoring = save_elsewhere
    world.watch(50, replaces_photos=True)
    assert [names for _, names in world.batches] == [["a.tif"], ["a.tif"]]


def test_a_folder_that_goes_away_is_told_once_and_waited_for():
    world = World(a=1)
    world.at(10, lambda: setattr(world, "is_there", False))
    world.at(40, lambda: (setattr(world, "is_there", True), world.sizes.update(b=2)))
    assert [names for _, names in world.watch(100)] == [["a"], ["b"]]
    assert world.told == [
        "photos has gone away (no such file or directory); waiting for it to come back",
        "photos is back",
    ]


def test_a_folder_that_goes_away_in_the_middle_of_the_work_is_waited_for():
    world = World(a=1, b=2)

    def pull_the_plug() -> None:
        world.is_there = False
        world.restoring = lambda: None
        raise OutputError("the journal cannot be written")

    world.restoring = pull_the_plug
    world.at(30, lambda: setattr(world, "is_there", True))
    (_, first), (when, second) = world.watch(100)
    assert first == second == ["a", "b"]
    assert when >= 30


def test_a_full_disk_ends_the_watch():
    world = World(a=1)

    def full() -> None:
        raise OutputError("the journal cannot be written", why="no space left on device")

    world.restoring = full
    with pytest.raises(OutputError, match="no space left"):
        world.watch(100)


def test_a_folder_that_was_never_there_is_an_error():
    world = World()
    world.is_there = False
    with pytest.raises(InputError, match="cannot be read"):
        world.watch(10)


def test_one_folder_that_is_gone_does_not_hold_up_another(tmp_path):
    world = World(a=1)
    other = tmp_path / "other"
    other.mkdir()
    find = world.find

    def find_in_either(folder: Path) -> list[Found]:
        return find(folder) if folder == FOLDER else list(find_photos(folder).photos)

    world.at(3, other.rmdir)
    world.arrives(10, "b", 1)
    watcher = Watcher(
        [other, FOLDER],
        find=find_in_either,
        restore=world.restore,
        is_whole=world.is_whole,
        tell=world.told.append,
        clock=lambda: world.now,
        sleep=world.sleep,
    )
    watcher.run(lambda: world.now >= 30)
    assert [names for _, names in world.batches] == [["a"], ["b"]]
    assert len(world.told) == 1


def test_many_that_arrive_together_are_begun_before_all_of_them_have_been_checked():
    world = World()
    names = [f"{number:02d}" for number in range(20)]
    world.at(1, lambda: world.sizes.update(dict.fromkeys(names, 1)))
    check = world.is_whole

    def slow(path: Path) -> bool:
        world.now += 1
        return check(path)

    world.is_whole = slow
    world.watch(100)
    assert [name for _, batch in world.batches for name in batch] == names
    assert 3 <= len(world.batches) <= 5
    assert world.checked == names


def test_a_slow_disk_is_not_looked_through_all_the_time():
    world = World()
    find, looks = world.find, []

    def slow(folder: Path) -> list[Found]:
        looks.append(world.now)
        world.now += 10
        return find(folder)

    world.find = slow
    world.watch(1000)
    assert len(looks) * 10 <= 1000 * 0.2 + 10


def test_names_of_copies_that_are_under_way_are_none_of_photos(tmp_path):
    for name in (
        "a.jpg.part",
        "b.jpg.crdownload",
        "c.jpg.tmp",
        ".d.jpg",
        ".e.jpg.Xy12ab",
        "f.jpg~",
        ".syncthing.g.jpg.tmp",
        "h.jpg.filepart",
        ".i.x.defocusfix-part",
    ):
        (tmp_path / name).write_bytes(b"half of it")
    assert find_photos(tmp_path).photos == ()


def test_a_photo_cut_off_anywhere_is_not_whole(tmp_path):
    path = tmp_path / "photo.jpg"
    data = samples.jpeg(samples.scene())
    for share in (0.0, 0.1, 0.5, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        assert not can_be_read(path, DEFAULT)
    path.write_bytes(data)
    assert can_be_read(path, DEFAULT)
    assert not can_be_read(tmp_path / "nothing.jpg", DEFAULT)


@given(
    writes=st.lists(
        st.tuples(st.floats(0.0, 60.0), st.sampled_from("abc"), st.integers(1, 50)), max_size=12
    )
)
def test_every_photo_is_handed_on_in_its_last_version_and_never_while_it_is_written(writes):
    world = World()
    last: dict[str, tuple[float, int]] = {}
    handed: dict[str, int] = {}

    def write(name: str, size: int) -> None:
        if world.sizes.get(name) != size:
            last[name] = (world.now, size)
        world.sizes[name] = size

    def restore(photos: Sequence[Found]) -> Finished:
        for photo in photos:
            when, size = last[photo.key]
            assert photo.size == size
            assert world.now - when >= SETTLE_S - 0.5
            handed[photo.key] = photo.size
        return World.restore(world, photos)

    for when, name, size in writes:
        world.at(when, lambda name=name, size=size: write(name, size))
    world.restore = restore
    world.watch(80)
    assert handed == world.sizes
