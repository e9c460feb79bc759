from __future__ import annotations

from pathlib import Path

import pytest

from defocusfix.errors import InputError, OutputError, UsageError
from defocusfix.jobs.plan import Naming, OnExists
from defocusfix.jobs.planning import make_plan

WITH_MAP = Naming(map_suffix=".png")
WITH_BOTH = Naming(map_suffix=".png", comparison_suffix=".html")


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b.tif", "sub/a.jpg"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"")
    return tmp_path


def test_outputs_stand_beside_their_photos_by_default(folder):
    plan = make_plan([folder / "a.jpg", folder / "b.tif"], naming=WITH_BOTH)
    assert [item.output.name for item in plan.items] == ["a_restored.jpg", "b_restored.tif"]
    assert [item.map_output.name for item in plan.items] == ["a_defocus.png", "b_defocus.png"]
    names = [item.comparison_output.name for item in plan.items]
    assert names == ["a_compare.html", "b_compare.html"]
    assert {path.parent for item in plan.items for path in item.outputs} == {folder}


def test_an_output_is_a_file_for_one_photo_and_a_folder_for_several(folder):
    photos = [folder / "a.jpg", folder / "b.tif"]
    assert make_plan(photos[:1], output=folder / "x.jpg").items[0].output == folder / "x.jpg"
    names = [item.output for item in make_plan(photos, output=folder / "new").items]
    assert names == [folder / "new" / "a_restored.jpg", folder / "new" / "b_restored.tif"]
    with pytest.raises(UsageError, match="cannot all be written"):
        make_plan(photos, output=folder / "x.jpg")
    with pytest.raises(UsageError, match="maps cannot all"):
        make_plan(photos, naming=Naming(map_suffix=".png", map_output=folder / "map.png"))
    with pytest.raises(UsageError, match="standard output"):
        make_plan(photos, to_stdout=True)


def test_a_folder_may_be_named_for_one_photo_too(folder):
    expected = folder / "sub" / "b_restored.tif"
    assert make_plan([folder / "b.tif"], output=folder / "sub").items[0].output == expected
    new = make_plan([folder / "b.tif"], output=folder / "new", is_folder=True)
    assert new.items[0].output == folder / "new" / "b_restored.tif"


def test_what_goes_with_an_output_goes_to_the_same_folder(folder):
    (item,) = make_plan([folder / "b.tif"], output=folder / "sub", naming=WITH_BOTH).items
    assert {path.parent for path in item.outputs} == {folder / "sub"}


def test_the_suffix_of_an_output_may_depend_on_the_photo(folder):
    naming = Naming(ending="_defocus", suffix_of=lambda source: source.suffix + ".npy")
    names = [item.output.name for item in make_plan([folder / "b.tif"], naming=naming).items]
    assert names == ["b_defocus.tif.npy"]


def test_standard_input_goes_to_standard_output_unless_a_file_is_named(folder):
    (item,) = make_plan([None]).items
    assert (item.output, item.outputs, item.name) == (None, (), "standard input")
    assert make_plan([None], output=folder / "x.jpg").items[0].output == folder / "x.jpg"
    (item,) = make_plan([folder / "a.jpg"], to_stdout=True, naming=WITH_MAP).items
    assert item.outputs == (folder / "a_defocus.png",)


def test_standard_input_has_no_name_for_other_files(folder):
    with pytest.raises(UsageError, match="has no name"):
        make_plan([None], output=folder / "sub")
    with pytest.raises(UsageError, match="no place for other files"):
        make_plan([None], naming=WITH_MAP)
    named = Naming(map_suffix=".png", map_output=folder / "m.png")
    assert make_plan([None], naming=named).items[0].map_output == folder / "m.png"
    with pytest.raises(UsageError, match="one photo"):
        make_plan([None, None], output=folder / "sub")


def test_two_photos_that_would_become_one_file_are_refused(folder):
    with pytest.raises(OutputError, match="would both be written"):
        make_plan([folder / "a.jpg", folder / "sub" / "a.jpg"], output=folder / "new")
    with pytest.raises(OutputError, match="would both be written"):
        make_plan([folder / "a.jpg", folder / "a.jpg"])
    naming = Naming(map_suffix=".png", map_output=folder / "x.png")
    with pytest.raises(OutputError, match="photo and its map"):
        make_plan([folder / "a.jpg"], output=folder / "x.png", naming=naming)


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


def test_a_map_that_is_there_already_stays_when_what_exists_is_skipped(folder):
    (folder / "a_defocus.png").write_bytes(b"precious")
    (item,) = make_plan([folder / "a.jpg"], naming=WITH_BOTH, on_exists=OnExists.SKIP).todo
    assert item.map_output is None
    assert item.comparison_output == folder / "a_compare.html"


def test_folders_and_nothing_at_all_are_refused(folder):
    with pytest.raises(InputError, match="is a folder"):
        make_plan([folder])
    with pytest.raises(InputError, match="no photo"):
        make_plan([])


def test_a_missing_photo_named_like_a_map_is_taken_for_one(folder):
    with pytest.raises(InputError, match=r"--map=.*blur\.png"):
        make_plan([folder / "a.jpg", folder / "blur.png"], naming=WITH_MAP)
    assert len(make_plan([folder / "a.jpg", folder / "blur.png"]).items) == 2


def test_names_with_several_dots_and_no_suffix_keep_them(tmp_path):
    plan = make_plan([tmp_path / "my.holiday.photo.jpg", tmp_path / "scan"])
    names = [Path(item.output).name for item in plan.items]
    assert names == ["my.holiday.photo_restored.jpg", "scan_restored"]
