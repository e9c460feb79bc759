from __future__ import annotations

import cv2
import numpy as np
import pytest

from defocusfix.jobs import estimate as estimating
from defocusfix.jobs.estimate import estimate
from defocusfix.jobs.events import PhotoSkipped, SkipReason
from defocusfix.jobs.folders import FolderChoice
from defocusfix.jobs.plan import Naming, OnExists
from defocusfix.jobs.planning import InPlace, make_plan
from defocusfix.jobs.treatment import Treatment
from defocusfix.photo.convert import TARGETS, converted
from defocusfix.photo.read import read_photo
from defocusfix.photo.write import encode_photo
from tests.photo import sample_files as samples

AS_IT_IS = Treatment(program="test")
ALL = FolderChoice()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.jpg").write_bytes(samples.jpeg(samples.scene(100, 200)))
    (tmp_path / "b.png").write_bytes(samples.png(samples.scene(300, 100)))
    return tmp_path


def of(folder, treatment=AS_IT_IS, **options):
    return estimate(make_plan([folder], choice=ALL, **options), treatment)


def test_pixels_bytes_and_time_of_all_photos_are_summed(folder):
    plan = make_plan([folder], choice=ALL)
    found = estimate(plan, AS_IT_IS, seconds_per_megapixel=2.0)
    assert [p.header.width for p in found.prospects] == [200, 100]
    assert found.megapixels == pytest.approx(0.05)
    assert found.seconds == pytest.approx(0.1)
    sizes = [(folder / name).stat().st_size for name in ("a.jpg", "b.png")]
    assert [p.n_bytes for p in found.prospects] == sizes
    assert (found.n_bytes, found.n_unknown, found.place) == (sum(sizes), 0, folder)
    assert found.fits
    assert estimate(plan, AS_IT_IS).seconds is None


def test_photos_that_need_no_work_are_listed_and_not_counted(folder):
    plan = make_plan([folder], choice=ALL)
    done = PhotoSkipped(plan.items[0], SkipReason.DONE)
    found = estimate(plan, AS_IT_IS, settled=lambda item: done if item is done.item else None)
    assert [p.settled for p in found.prospects] == [done, None]
    assert found.megapixels == pytest.approx(0.03)
    (folder / "b_restored.png").write_bytes(b"")
    plan = make_plan([folder / "b.png"], on_exists=OnExists.SKIP)
    (prospect,) = estimate(plan, AS_IT_IS).prospects
    assert prospect.settled.reason is SkipReason.EXISTS


def test_a_photo_that_does_not_tell_its_size_is_counted_as_such(folder):
    (folder / "c.jpg").write_bytes(b"nothing of use")
    found = of(folder)
    assert found.n_unknown == 1
    assert found.prospects[2].megapixels == 0
    assert found.megapixels == pytest.approx(0.05)


def test_only_the_area_that_is_wanted_counts(folder):
    found = of(folder, Treatment(program="test", area=(0, 0, 50, 20)))
    assert [p.megapixels for p in found.prospects] == [0.001, 0.001]
    assert found.n_bytes < of(folder).n_bytes / 10


@pytest.mark.parametrize("target", TARGETS)
def test_no_format_takes_more_than_was_reckoned_or_far_less(tmp_path, target):
    # Photos have noise; this one has as much as a camera at a moderate sensitivity.
    image = samples.scene(400, 600, bits=16)
    noise = np.random.default_rng(0).normal(0, 600, image.shape)
    pixels = (image + noise).clip(0, 65535).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    (prospect,) = of(tmp_path, Treatment(program="test", target=target)).prospects
    real = len(encode_photo(converted(read_photo(tmp_path / "a.png"), target)))
    assert real / 1.2 < prospect.n_bytes < 3 * real


def test_maps_and_comparisons_take_space_too(folder):
    plain = of(folder).n_bytes
    naming = Naming(map_suffix=".npy")
    mapped = of(folder, Treatment(program="test", map_format="npy"), naming=naming)
    assert mapped.n_bytes == plain + 4 * 50_000
    naming = Naming(comparison_suffix=".png")
    compared = of(folder, Treatment(program="test", comparison="side"), naming=naming)
    assert compared.n_bytes > plain + 2 * 50_000


def test_in_place_only_the_backups_take_space(folder):
    assert of(folder, in_place=InPlace()).n_bytes == of(folder).n_bytes
    assert of(folder, in_place=InPlace(keeps_backup=False)).n_bytes == 0


def test_a_disk_that_is_too_full_is_told_even_for_a_folder_that_is_not_there_yet(
    folder, monkeypatch
):
    asked = []

    def disk_usage(path):
        asked.append(path)
        if not path.exists():
            raise FileNotFoundError(path)
        return type("Usage", (), {"free": 100})

    monkeypatch.setattr(estimating.shutil, "disk_usage", disk_usage)
    found = of(folder, output=folder.parent / "new" / "out")
    assert asked[-1] == folder.parent
    assert (found.free_bytes, found.fits) == (100, False)
