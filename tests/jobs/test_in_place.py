"""Restoring a photo in its own place: what an editor that hands over a file gets back."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from defocusfix.errors import OutputError
from defocusfix.jobs.files import Streams
from defocusfix.jobs.plan import Item, OnExists, Plan
from defocusfix.jobs.restoring import Restoring
from defocusfix.jobs.run import run_plan
from defocusfix.jobs.treatment import Treatment
from defocusfix.photo.read import read_photo
from defocusfix.restoration.restorer import Restorer
from tests.photo import sample_files as samples
from tests.restoration.stand_in_engines import brighter


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "photo.tif"
    path.write_bytes(samples.tiff(samples.scene(bits=16)))
    return path


def restoring(**wishes: object) -> Restoring:
    streams = Streams(bytes, lambda data: None)
    restorer = Restorer(brighter())
    treatment = Treatment(program="test 1.0", **wishes)
    return Restoring(treatment, lambda bits: restorer, streams, may_overwrite=False)


def item(path: Path) -> Item:
    return Item(path, path, backup_output=path.with_name(f"{path.stem}.orig{path.suffix}"))


def test_the_restored_photo_has_the_name_and_the_original_another(photo):
    original = photo.read_bytes()
    before = read_photo(photo)
    finished = run_plan(Plan((item(photo),), OnExists.ERROR), restoring(), lambda event: None)
    assert (finished.n_done, finished.failed) == (1, ())
    assert item(photo).backup_output.read_bytes() == original
    after = read_photo(photo)
    assert (after.format, after.bits, after.pixels.shape) == ("tiff", 16, before.pixels.shape)
    assert np.mean(after.to_float() - before.to_float()) > 0.05


def test_without_a_backup_only_the_restored_photo_stays(photo):
    plan = Plan((Item(photo, photo),), OnExists.ERROR)
    assert run_plan(plan, restoring(), lambda event: None).n_done == 1
    assert list(photo.parent.iterdir()) == [photo]


@pytest.mark.parametrize(
    ("name", "wishes", "reason"),
    [
        ("photo.nef", {}, "RAW is only read"),
        ("photo.HEIC", {}, "HEIC is only read"),
        ("photo.jpg", {"target": "tiff16"}, "another format than --format tiff16"),
        ("photo.nef", {"target": "jpeg"}, "another format than --format jpeg"),
    ],
)
def test_a_format_that_would_change_is_refused_before_the_photo_is_read(
    tmp_path, name, wishes, reason
):
    path = tmp_path / name
    path.write_bytes(b"not looked at")
    with pytest.raises(OutputError, match=reason):
        restoring(**wishes).read(item(path))


def test_a_misnamed_photo_keeps_its_format_and_its_name(tmp_path):
    path = tmp_path / "photo.tif"
    path.write_bytes(samples.jpeg(samples.scene()))
    assert run_plan(Plan((item(path),), OnExists.ERROR), restoring(), print).n_done == 1
    assert read_photo(path).format == "jpeg"


def test_a_photo_that_was_saved_while_it_was_restored_stays_as_it_was_saved(photo):
    work = restoring()
    computed = work.compute(item(photo), work.read(item(photo)), lambda share: None)
    photo.write_bytes(b"saved by the editor")
    with pytest.raises(OutputError, match="changed or removed while"):
        computed.save()
    assert photo.read_bytes() == b"saved by the editor"
    assert list(photo.parent.iterdir()) == [photo]


def test_a_protected_photo_fails_and_the_others_are_done(photo):
    other = photo.with_name("other.tif")
    other.write_bytes(photo.read_bytes())
    photo.chmod(0o444)
    plan = Plan((item(photo), item(other)), OnExists.ERROR)
    finished = run_plan(plan, restoring(), lambda event: None)
    photo.chmod(0o644)
    assert finished.n_done == 1
    assert "protected against writing" in str(finished.failed[0].error)


def test_whoever_opens_the_photo_at_any_moment_finds_a_whole_one(photo):
    os.utime(photo, (1e9, 1e9))
    is_over = threading.Event()
    broken: list[Exception] = []

    def look() -> None:
        while not is_over.is_set():
            try:
                read_photo(photo)
            except Exception as error:  # noqa: BLE001 - whatever a reader meets
                broken.append(error)
                return

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for number in range(5):
            one = Item(photo, photo, backup_output=photo.with_name(f"{number}.orig.tif"))
            run_plan(Plan((one,), OnExists.ERROR), restoring(), lambda event: None)
    finally:
        is_over.set()
        reader.join()
    assert broken == []
