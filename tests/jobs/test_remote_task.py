"""What a machine of a cluster does with a photo, and for what reasons it does not."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defocusfix.errors import DeviceError, InputError, OutputError, UsageError
from defocusfix.jobs import brief as brief_module
from defocusfix.jobs import remote_task
from defocusfix.jobs.brief import briefing, local_weights
from defocusfix.jobs.fingerprint import FileState, sha256_of
from defocusfix.jobs.plan import Item, OnExists, Plan
from defocusfix.jobs.recipe import Recipe
from defocusfix.jobs.remote_task import Broken, Carried, Order, Refused, carry_out
from defocusfix.jobs.treatment import Treatment
from defocusfix.photo.read import read_photo
from defocusfix.restoration.settings import RestoreSettings
from tests.photo import sample_files as samples
from tests.restoration import small_networks


@pytest.fixture(autouse=True)
def new_process(tmp_path, monkeypatch):
    """As in a worker that has done nothing yet, with a place of its own for fetched weights."""
    monkeypatch.setattr(remote_task, "_works", {})
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(brief_module.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))


@pytest.fixture
def item(tmp_path) -> Item:
    photo = tmp_path / "photo.png"
    photo.write_bytes(samples.png(samples.scene()))
    return Item(photo, tmp_path / "out" / "photo_restored.png")


@pytest.fixture
def drawn_up(tmp_path, item):
    """A brief, and the contents of its weights."""
    small_networks.addition(tmp_path / "net.onnx", 0.1)
    (tmp_path / "net.json").write_text("{}")
    (tmp_path / "other.onnx").write_bytes(b"another one's")
    recipe = Recipe(
        treatment=Treatment(program="test 1.0"),
        settings=RestoreSettings(scale=1),
        model=tmp_path / "net.onnx",
        engine="onnxruntime",
        device="cpu",
        threads=1,
    )
    plan = Plan((item,), OnExists.SKIP, home=tmp_path / "out")
    with briefing(plan, recipe) as (brief, contents):
        yield brief, contents


def nothing() -> tuple[bytes, ...]:
    raise AssertionError("the weights were fetched")


def test_a_photo_is_saved_and_what_it_was_and_became_is_told(item, drawn_up):
    outcome = carry_out(Order(item, None), drawn_up[0], nothing)
    assert isinstance(outcome, Carried)
    assert outcome.done.item == item
    assert outcome.source.sha256 == sha256_of(item.source)
    assert outcome.output.sha256 == sha256_of(item.output)
    change = read_photo(item.output).pixels.astype(int) - read_photo(item.source).pixels
    assert 25 <= np.median(change) <= 26


def test_orders_and_outcomes_survive_the_way_between_processes(item, drawn_up):
    brief, _ = drawn_up
    order = Order(item, FileState(1, 2))
    assert pickle.loads(pickle.dumps((order, brief))) == (order, brief)
    error = InputError("broken", why="torn", fix="mend")
    back = pickle.loads(pickle.dumps(Broken(error, OSError(28, "full"))))
    assert (str(back.error), back.cause.errno) == (str(error), 28)


def test_an_output_that_came_since_the_photo_was_begun_is_told_and_not_made_again(item, drawn_up):
    brief, _ = drawn_up
    first = carry_out(Order(item, None), brief, nothing)
    stamp = FileState.of(item.output)
    again = carry_out(Order(item, None), brief, nothing)
    assert FileState.of(item.output) == stamp
    assert again.output == first.output
    assert again.done.picture == first.done.picture
    assert again.done.notes == (remote_task.FOUND_DONE,)


def test_an_output_that_two_were_at_is_told_by_the_one_that_came_late(item, drawn_up, monkeypatch):
    brief, _ = drawn_up
    run_plan = remote_task.run_plan

    def overtaken(*words):
        run_plan(*words[:2], lambda event: None)
        return run_plan(*words)

    monkeypatch.setattr(remote_task, "run_plan", overtaken)
    outcome = carry_out(Order(item, None), brief, nothing)
    assert outcome.done.notes == (remote_task.FOUND_DONE,)


def test_an_output_that_was_there_before_is_not_taken_for_a_new_one(item, drawn_up):
    item.output.write_bytes(b"somebody's")
    outcome = carry_out(Order(item, FileState.of(item.output)), drawn_up[0], nothing)
    assert isinstance(outcome, Broken)
    assert isinstance(outcome.error, OutputError)
    assert item.output.read_bytes() == b"somebody's"


def test_a_damaged_photo_fails_alone(item, drawn_up):
    item.source.write_bytes(b"nothing of use")
    outcome = carry_out(Order(item, None), drawn_up[0], nothing)
    assert isinstance(outcome, Broken)
    item.source.unlink()
    assert isinstance(carry_out(Order(item, None), drawn_up[0], nothing), Broken)


@pytest.mark.parametrize("other", [{"version": "0.0.0"}, {"python": (3, 8)}])
def test_a_machine_with_other_versions_does_nothing(item, drawn_up, other):
    outcome = carry_out(Order(item, None), replace(drawn_up[0], **other), nothing)
    assert isinstance(outcome, Refused)
    assert isinstance(outcome.error, DeviceError)
    assert not item.output.exists()


def test_a_machine_without_the_shared_folders_does_nothing_and_is_named(
    tmp_path, item, drawn_up, monkeypatch
):
    brief, _ = drawn_up
    monkeypatch.setattr(remote_task.platform, "node", lambda: "machine-7")
    for unseen in (
        (Order(item, None), replace(brief, token=tmp_path / "not here" / "token")),
        (Order(replace(item, source=tmp_path / "not here" / "photo.png"), None), brief),
    ):
        outcome = carry_out(*unseen, nothing)
        assert "machine-7 does not see" in str(outcome.error)
        assert str(tmp_path / "not here") in str(outcome.error)
    assert not item.output.exists()


def test_nothing_is_begun_once_the_run_is_over(item, drawn_up):
    drawn_up[0].token.unlink()
    assert isinstance(carry_out(Order(item, None), drawn_up[0], nothing), Refused)
    assert not item.output.exists()


def test_standard_input_is_no_matter_for_a_cluster(item, drawn_up):
    outcome = carry_out(Order(replace(item, source=None), None), drawn_up[0], nothing)
    assert isinstance(outcome.error, UsageError)


def test_weights_come_with_what_lies_beside_them_under_their_name(drawn_up):
    brief, contents = drawn_up
    assert [file.name for file in brief.weights] == ["net.onnx", "net.json"]
    assert contents == tuple(brief.model.with_name(f.name).read_bytes() for f in brief.weights)
    assert local_weights(brief, nothing) == brief.model


@pytest.mark.parametrize("theirs", [None, b"of another version"])
def test_weights_that_are_missing_or_differ_are_fetched_once(item, drawn_up, theirs):
    brief, contents = drawn_up
    brief.model.unlink()
    if theirs is not None:
        brief.model.write_bytes(theirs)
    fetched = local_weights(brief, lambda: contents)
    assert fetched.read_bytes() == contents[0]
    assert local_weights(brief, nothing) == fetched
    assert isinstance(carry_out(Order(item, None), brief, nothing), Carried)
    fetched.write_bytes(b"damaged")
    assert local_weights(brief, lambda: contents).read_bytes() == contents[0]


def test_weights_are_not_taken_from_a_folder_of_somebody_else(drawn_up, monkeypatch):
    brief, contents = drawn_up
    brief.model.unlink()
    owner = brief_module.os.getuid() + 1
    monkeypatch.setattr(brief_module.os, "getuid", lambda: owner)
    with pytest.raises(OutputError, match="belongs to somebody else"):
        local_weights(brief, lambda: contents)


def test_the_token_of_a_run_lies_beside_its_outputs_and_goes_with_it(tmp_path, item):
    small_networks.addition(tmp_path / "net.onnx", 0.1)
    recipe = Recipe(treatment=Treatment(program="test 1.0"), model=tmp_path / "net.onnx")
    for home, folder in ((None, item.output.parent), (tmp_path, tmp_path / ".defocusfix")):
        plan = Plan((item,), OnExists.SKIP, home=home)
        with briefing(plan, recipe) as (brief, _):
            assert brief.token.exists()
            assert brief.token.parent == folder
        assert not brief.token.exists()


def test_mask_and_views_are_named_so_that_other_machines_find_them(tmp_path, item, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_networks.addition(tmp_path / "net.onnx", 0.1)
    treatment = Treatment(
        program="test 1.0", mask=Path("mask.png"), views=(Path("l.png"), Path("r.png"))
    )
    plan = Plan((item,), OnExists.SKIP)
    with briefing(plan, Recipe(treatment=treatment, model=Path("net.onnx"))) as (brief, _):
        assert brief.recipe.treatment.mask == tmp_path / "mask.png"
        assert brief.model == tmp_path / "net.onnx"
        assert brief.recipe.treatment.views == (tmp_path / "l.png", tmp_path / "r.png")
