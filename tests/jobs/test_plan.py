from __future__ import annotations

from pathlib import Path

import pytest

from defocusfix.errors import InputError, OutputError, UsageError
from defocusfix.jobs.plan import OnExists, make_plan


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b.tif", "sub/a.jpg"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"")
    return tmp_path


def test_outputs_stand_beside_their_photos_by_default(folder):
    plan = make_plan([folder / "a.jpg", folder / "b.tif"], with_map=True)
    assert [item.output.name for item in plan.items] == ["a_restored.jpg", "b_restored.tif"]
    assert [item.map_output.name for item in plan.items] == ["a_defocus.png", "b_defocus.png"]
    assert {item.output.parent for item in plan.items} == {folder}


def test_an_output_is_a_file_for_one_photo_and_a_folder_for_several(folder):
    photos = [folder / "a.jpg", folder / "b.tif"]
    assert make_plan(photos[:1], output=folder / "x.jpg").items[0].output == folder / "x.jpg"
    names = [item.output for item in make_plan(photos, output=folder / "new").items]
    assert names == [folder / "new" / "a_restored.jpg", folder / "new" / "b_restored.tif"]
    with pytest.raises(UsageError, match="cannot all be written"):
        make_plan(photos, output=folder / "x.jpg")
    with pytest.raises(UsageError, match="maps cannot all"):
        make_plan(photos, map_output=folder / "map.png")


def test_a_folder_may_be_named_for_one_photo_too(folder):
    expected = folder / "sub" / "b_restored.tif"
    assert make_plan([folder / "b.tif"], output=folder / "sub").items[0].output == expected
    new = make_plan([folder / "b.tif"], output=folder / "new", is_folder=True)
    assert new.items[0].output == folder / "new" / "b_restored.tif"


def test_two_photos_that_would_become_one_file_are_refused(folder):
    with pytest.raises(OutputError, match="would both be written"):
        make_plan([folder / "a.jpg", folder / "sub" / "a.jpg"], output=folder / "new")
    with pytest.raises(OutputError, match="would both be written"):
        make_plan([folder / "a.jpg", folder / "a.jpg"])
    with pytest.raises(OutputError, match="photo and its map"):
        make_plan([folder / "a.jpg"], output=folder / "x.png", map_output=folder / "x.png")


@pytest.mark.parametrize("on_exists", OnExists)
def test_a_photo_is_never_written_over(folder, on_exists):
    with pytest.raises(OutputError, match="itself one of the photos"):
        make_plan([folder / "a.jpg"], output=folder / "a.jpg", on_exists=on_exists)
    with pytest.raises(OutputError, match="itself one of the photos"):
        make_plan([folder / "a.jpg"], output=folder / "sub" / ".." / "a.jpg", on_exists=on_exists)


def test_what_exists_is_refused_skipped_overwritten_or_given_a_new_name(folder):
    photos = [folder / "a.jpg", folder / "b.tif"]
    (folder / "a_restored.jpg").write_bytes(b"")
    (folder / "a_restored-2.jpg").write_bytes(b"")
    with pytest.raises(OutputError, match=r"a_restored\.jpg exists already"):
        make_plan(photos)
    skipping = make_plan(photos, on_exists=OnExists.SKIP)
    assert [item.source.name for item in skipping.todo] == ["b.tif"]
    overwriting = make_plan(photos, on_exists=OnExists.OVERWRITE)
    assert overwriting.todo[0].output.name == "a_restored.jpg"
    renaming = make_plan(photos, on_exists=OnExists.RENAME)
    assert [item.output.name for item in renaming.todo] == ["a_restored-3.jpg", "b_restored.tif"]


def test_folders_and_nothing_at_all_are_refused(folder):
    with pytest.raises(InputError, match="is a folder"):
        make_plan([folder])
    with pytest.raises(InputError, match="no photo"):
        make_plan([])


def test_names_with_several_dots_and_no_suffix_keep_them(tmp_path):
    plan = make_plan([tmp_path / "my.holiday.photo.jpg", tmp_path / "scan"])
    names = [Path(item.output).name for item in plan.items]
    assert names == ["my.holiday.photo_restored.jpg", "scan_restored"]
