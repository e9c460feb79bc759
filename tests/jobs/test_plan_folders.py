from __future__ import annotations

import os
import sys
import tempfile
import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defocusfix.errors import InputError, OutputError, UsageError
from defocusfix.jobs.folders import FolderChoice, LeftOut
from defocusfix.jobs.plan import Naming, OnExists, Plan
from defocusfix.jobs.planning import InPlace, home_of, make_plan

ALL = FolderChoice()
TO_JPEG = Naming(suffix_of=lambda photo: ".jpg" if photo.suffix == ".heic" else photo.suffix)
WITH_MAP = Naming(map_suffix=".png")
sees_case = sys.platform == "linux"


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def outputs(plan: Plan, folder: Path) -> dict[str, str]:
    """Where the photo of each key goes, relative to a folder."""
    return {item.key: item.output.relative_to(folder).as_posix() for item in plan.items}


def test_outputs_lie_as_the_photos_do(tmp_path):
    photos = files(tmp_path / "in", "b10.jpg", "b9.jpg", "x/y/c.tif")
    plan = make_plan([photos], output=tmp_path / "out", choice=ALL)
    assert outputs(plan, tmp_path / "out") == {
        "b9.jpg": "b9_restored.jpg",
        "b10.jpg": "b10_restored.jpg",
        "x/y/c.tif": "x/y/c_restored.tif",
    }
    assert [item.key for item in plan.items] == ["b9.jpg", "b10.jpg", "x/y/c.tif"]
    assert (plan.home, plan.on_exists) == (tmp_path / "out", OnExists.SKIP)


def test_without_an_output_folder_outputs_stand_beside_their_photos(tmp_path):
    files(tmp_path, "a.jpg", "x/c.tif")
    plan = make_plan([tmp_path], choice=ALL)
    assert outputs(plan, tmp_path) == {"a.jpg": "a_restored.jpg", "x/c.tif": "x/c_restored.tif"}
    assert plan.home == tmp_path


def test_photos_of_several_folders_go_to_folders_of_their_names(tmp_path):
    files(tmp_path, "a/x.jpg", "b/x.jpg", "old/b/x.jpg", "loose.jpg")
    out = tmp_path / "out"
    plan = make_plan([tmp_path / "a", tmp_path / "b", tmp_path / "a"], output=out, choice=ALL)
    assert outputs(plan, out) == {"a/x.jpg": "a/x_restored.jpg", "b/x.jpg": "b/x_restored.jpg"}
    plan = make_plan([tmp_path / "b", tmp_path / "old" / "b"], output=out, choice=ALL)
    expected = {f"{tmp_path.name}/b/x_restored.jpg", "old/b/x_restored.jpg"}
    assert set(outputs(plan, out).values()) == expected
    plan = make_plan([tmp_path / "loose.jpg", tmp_path / "a"], output=out, choice=ALL)
    assert [item.output.name for item in plan.items] == ["loose_restored.jpg", "x_restored.jpg"]
    with pytest.raises(UsageError, match="2 folders"):
        make_plan([tmp_path / "a", tmp_path / "b"], choice=ALL)


def test_a_photo_that_is_named_beside_its_folder_is_done_once(tmp_path):
    files(tmp_path, "a/x.jpg", "a/sub/y.jpg", "a/.hidden.jpg")
    inside = [tmp_path / "a" / "x.jpg", tmp_path / "a" / ".hidden.jpg"]
    plan = make_plan([*inside, tmp_path / "a"], choice=ALL)
    assert sorted(item.key for item in plan.items) == [".hidden.jpg", "sub/y.jpg", "x.jpg"]
    nested = [tmp_path / "a" / "sub", tmp_path / "a"]
    plan = make_plan(nested, output=tmp_path / "out", choice=ALL)
    assert sorted(item.key for item in plan.items) == ["a/sub/y.jpg", "a/x.jpg"]
    assert plan.left_out[LeftOut.MET_BEFORE] == 1


def test_an_earlier_run_adds_nothing_to_the_next_one(tmp_path):
    files(tmp_path, "a.jpg", "x/b.jpg")
    for output in (None, tmp_path / "out"):
        first = make_plan([tmp_path], output=output, naming=WITH_MAP, choice=ALL)
        for item in first.items:
            for path in item.outputs:
                files(path.parent, path.name)
        again = make_plan([tmp_path], output=output, naming=WITH_MAP, choice=ALL)
        assert again.items == first.items


def test_photos_that_would_share_a_name_are_told_apart_by_their_suffix(tmp_path):
    files(tmp_path, "IMG.heic", "IMG.jpg", "other.jpg")
    plan = make_plan([tmp_path], naming=TO_JPEG, choice=ALL)
    assert outputs(plan, tmp_path) == {
        "IMG.heic": "IMG.heic_restored.jpg",
        "IMG.jpg": "IMG.jpg_restored.jpg",
        "other.jpg": "other_restored.jpg",
    }
    assert "IMG.heic and IMG.jpg" in plan.warnings[0]


def test_a_longer_name_that_belongs_to_a_third_photo_makes_that_one_longer_too(tmp_path):
    files(tmp_path, "IMG.heic", "IMG.jpg", "IMG.heic.jpg")
    plan = make_plan([tmp_path], naming=TO_JPEG, choice=ALL)
    assert outputs(plan, tmp_path)["IMG.heic.jpg"] == "IMG.heic.jpg_restored.jpg"


def test_photos_whose_maps_would_share_a_name_are_told_apart(tmp_path):
    files(tmp_path, "a.dng", "a.jpg")
    (raw, jpeg) = make_plan([tmp_path], naming=WITH_MAP, choice=ALL).items
    assert raw.map_output.name == "a.dng_defocus.png"
    assert jpeg.map_output.name == "a.jpg_defocus.png"


@pytest.mark.skipif(not sees_case, reason="these names are one on this system")
def test_names_that_some_disks_take_for_one_are_refused_before_any_work(tmp_path):
    files(tmp_path, "in/a.jpg", "in/A.JPG", "in/caf\u00e9.tif", "in/cafe\u0301.tif")
    with pytest.raises(OutputError, match="would both be written") as refusal:
        make_plan([tmp_path / "in"], output=tmp_path / "out", choice=ALL)
    assert "a.jpg" in str(refusal.value)
    assert "caf\u00e9.tif" in str(refusal.value)


def test_a_folder_without_photos_is_refused_with_what_was_left_out(tmp_path):
    files(tmp_path, "notes.txt", "more.txt", ".hidden.jpg")
    with pytest.raises(InputError, match="no photo to be done") as refusal:
        make_plan([tmp_path], choice=ALL)
    assert "2 other files, 1 hidden" in refusal.value.why
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no photo") as refusal:
        make_plan([tmp_path / "empty"], choice=ALL)
    assert "empty" in refusal.value.why


def test_what_a_folder_cannot_become_is_refused(tmp_path):
    files(tmp_path, "in/a.jpg", "file")
    source = [tmp_path / "in"]
    with pytest.raises(UsageError, match="standard output"):
        make_plan(source, to_stdout=True, choice=ALL)
    for output in ("file", "new.jpg"):
        with pytest.raises(UsageError, match="cannot all be written"):
            make_plan(source, output=tmp_path / output, choice=ALL)
    naming = Naming(map_suffix=".png", map_output=tmp_path / "map.png")
    with pytest.raises(UsageError, match="maps cannot all"):
        make_plan(source, naming=naming, choice=ALL)
    assert make_plan(source, output=tmp_path / "to.2024", choice=ALL).home.name == "to.2024"


def test_the_journal_is_in_the_output_folder_or_the_only_one_named(tmp_path):
    files(tmp_path, "a/x.jpg", "b/x.jpg")
    a, b = tmp_path / "a", tmp_path / "b"
    assert home_of([a]) == home_of([a, a / "x.jpg", None]) == a
    assert home_of([a, b], output=tmp_path / "out") == tmp_path / "out"
    assert home_of([a / "x.jpg"]) is home_of([a / "x.jpg"], output=b) is None
    assert make_plan([a / "x.jpg"], output=b, choice=ALL).home is None


def test_existing_outputs_are_left_to_the_journal_unless_they_are_an_error(tmp_path):
    files(tmp_path, "a.jpg", "b.jpg", "a_restored.jpg")
    for on_exists in (None, OnExists.RENAME, OnExists.OVERWRITE):
        plan = make_plan([tmp_path], on_exists=on_exists, choice=ALL)
        assert [item.output.name for item in plan.todo] == ["a_restored.jpg", "b_restored.jpg"]
    with pytest.raises(OutputError, match="exists already"):
        make_plan([tmp_path], on_exists=OnExists.ERROR, choice=ALL)
    plan = make_plan(
        [tmp_path],
        on_exists=OnExists.ERROR,
        choice=ALL,
        outputs_of=lambda home: {home / "a_restored.jpg"},
    )
    assert len(plan.todo) == 2


def test_many_outputs_in_one_folder_are_looked_up_as_few_are(tmp_path):
    names = [f"{n}.jpg" for n in range(40)]
    files(tmp_path, *names)
    files(tmp_path / "out", "7_restored.jpg", "8_RESTORED.jpg")
    photos = [tmp_path / name for name in names]
    plan = make_plan(photos, output=tmp_path / "out", on_exists=OnExists.SKIP)
    skipped = {item.source.name for item in plan.items if item.is_skipped}
    assert skipped == ({"7.jpg"} if sees_case else {"7.jpg", "8.jpg"})


def test_in_place_the_output_is_the_photo_and_the_backup_takes_a_free_name(tmp_path):
    files(tmp_path, "a.jpg", "b.tif", "b.orig.tif", "b.orig-2.tif", "x/c.png")
    plan = make_plan([tmp_path], in_place=InPlace(), naming=WITH_MAP, choice=ALL)
    assert all(item.is_in_place and item.replaces for item in plan.items)
    backups = {item.key: item.backup_output.name for item in plan.items}
    assert backups == {"a.jpg": "a.orig.jpg", "b.tif": "b.orig-3.tif", "x/c.png": "c.orig.png"}
    assert plan.items[0].map_output == tmp_path / "a_defocus.png"
    assert plan.items[0].backup_output in plan.items[0].outputs
    plan = make_plan([tmp_path], in_place=InPlace(keeps_backup=False), choice=ALL)
    assert {item.backup_output for item in plan.items} == {None}
    assert {item.source for item in plan.items} == {item.output for item in plan.items}


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_backup_that_a_killed_run_made_is_taken_up_and_that_of_a_link_is_beside_the_photo(
    tmp_path,
):
    files(tmp_path, "a.jpg", "far/b.jpg")
    os.link(tmp_path / "a.jpg", tmp_path / "a.orig.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "far" / "b.jpg")
    named = [tmp_path / "a.jpg", tmp_path / "link.jpg"]
    backups = [item.backup_output for item in make_plan(named, in_place=InPlace()).items]
    assert backups == [tmp_path / "a.orig.jpg", tmp_path / "far" / "b.orig.jpg"]


@pytest.mark.skipif(not sees_case, reason="these names are one on this system")
def test_in_place_names_that_differ_in_case_are_different_photos(tmp_path):
    files(tmp_path, "a.jpg", "A.jpg")
    plan = make_plan([tmp_path], in_place=InPlace(), choice=ALL)
    assert sorted(item.backup_output.name for item in plan.items) == ["A.orig.jpg", "a.orig-2.jpg"]


def test_in_place_leaves_photos_that_cannot_keep_their_format(tmp_path):
    files(tmp_path, "a.jpg", "b.heic")
    plan = make_plan([tmp_path], in_place=InPlace(), naming=TO_JPEG, choice=ALL)
    assert [item.key for item in plan.items] == ["a.jpg"]
    assert plan.left_out == {LeftOut.OTHER_FORMAT: 1}
    assert "1 of the photos cannot keep their format" in plan.warnings[0]


def test_in_place_goes_with_no_other_place(tmp_path):
    files(tmp_path, "a.jpg")
    with pytest.raises(UsageError, match="two places"):
        make_plan([tmp_path / "a.jpg"], output=tmp_path / "b.jpg", in_place=InPlace())
    with pytest.raises(UsageError, match="standard input"):
        make_plan([None], in_place=InPlace())
    with pytest.raises(OutputError, match="would both be written"):
        make_plan([tmp_path / "a.jpg", tmp_path / "a.jpg"], in_place=InPlace())


stems = st.sampled_from(["a", "A", "b", "a.heic", "a_restored", "a.orig", "e\u0301", "\u00e9"])
suffixes = st.sampled_from([".jpg", ".JPG", ".heic", ".png"])
some_names = st.lists(
    st.tuples(st.sampled_from(["", "x/", "X/"]), stems, suffixes).map("".join), min_size=1
)


@settings(max_examples=60, deadline=None)
@given(
    names=some_names, has_output=st.booleans(), is_in_place=st.booleans(), with_map=st.booleans()
)
def test_whatever_the_names_are_nothing_is_written_twice_or_over_a_photo(
    names, has_output, is_in_place, with_map
):
    with tempfile.TemporaryDirectory() as folder:
        photos = files(Path(folder) / "in", *names)
        try:
            plan = make_plan(
                [photos],
                output=Path(folder) / "out" if has_output and not is_in_place else None,
                in_place=InPlace() if is_in_place else None,
                naming=WITH_MAP if with_map else TO_JPEG,
                choice=ALL,
            )
        except (OutputError, InputError):
            return
        sources = {str(item.source) for item in plan.items}
        assert len({item.key for item in plan.items}) == len(plan.items) == len(sources)
        assert all(str(PurePosixPath(item.key)) == item.key for item in plan.items)
        written = [path for item in plan.items for path in item.outputs if path != item.source]
        assert len({plain(path) for path in written}) == len(written)
        assert not {plain(path) for path in written} & {plain(Path(path)) for path in sources}
        assert all(item.is_in_place == is_in_place for item in plan.items)
        if is_in_place:
            assert not any(os.path.lexists(item.backup_output) for item in plan.items)


def plain(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()
