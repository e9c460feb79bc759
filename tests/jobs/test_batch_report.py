from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from defocusfix.errors import InputError, OutputError, UsageError
from defocusfix.jobs import batch_report
from defocusfix.jobs.batch_report import (
    BatchReport,
    check_report_place,
    picture_store,
    settings_facts,
)
from defocusfix.jobs.events import (
    Blur,
    Finished,
    Method,
    PhotoDone,
    PhotoFailed,
    PhotoSkipped,
    PhotoStarted,
    Picture,
    SkipReason,
    Started,
)
from defocusfix.jobs.journal import Row
from defocusfix.jobs.plan import Item
from defocusfix.jobs.treatment import Treatment
from defocusfix.restoration.settings import RestoreSettings
from tests.figures.test_page import Elements
from tests.photo import sample_files as samples

METHOD = Method("focusnet-s", "onnxruntime 1.31", "cpu", "fp32", 8)
PICTURE = Picture(64, 48, 8, "png")


def done(item: Item, *, share: float = 0.5, warnings: tuple[str, ...] = ()) -> PhotoDone:
    blur = Blur(share, 1.0, 2.0)
    return PhotoDone(item, PICTURE, METHOD, 2.0, 0.003, blur, {1: 1.0}, warnings, ())


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "photos"


def items(folder: Path, *names: str) -> tuple[Item, ...]:
    """Photos of a folder, restored to another one."""
    found = []
    for name in names:
        source, output = folder / name, folder.with_name("out") / name
        for path, pixels in ((source, samples.scene()), (output, 255 - samples.scene())):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(samples.png(pixels))
        found.append(Item(source, output, key=name))
    return tuple(found)


@pytest.fixture
def report(tmp_path) -> BatchReport:
    with picture_store(tmp_path) as store:
        return BatchReport(tmp_path / "pages" / "report.html", store, settings=[("Strength", "1")])


def page(report: BatchReport, *events) -> Elements:
    for event in events:
        report(event)
    report.write()
    return Elements(report.path.read_text(encoding="utf-8"))


def names(elements: Elements) -> list[str]:
    return [article["data-name"] for article in elements.all("article")]


def test_the_page_tells_of_every_photo_with_pictures_facts_and_links_that_lead_to_it(
    report, folder
):
    first, second = items(folder, "img10.png", "2024/rose #1 50%.png")
    begun = PhotoStarted(first, PICTURE, 0.003, METHOD)
    end = Finished(2, 0, (), 4.0, megapixels=6.0)
    events = (Started("defocusfix 1", (first, second)), begun, done(first), done(second), end)
    elements = page(report, *events)
    assert names(elements) == ["2024/rose #1 50%.png", "img10.png"]
    assert len(elements.all("img")) == 2 + 3  # the last three are those of an opened photo
    for word in (
        "64 x 48",
        "50% out of focus",
        "2.0 s",
        "1.5 MP/s",
        "0:04",
        "focusnet-s",
        "Strength",
    ):
        assert word in elements.text
    links = [unquote(a["href"]) for a in elements.all("a")]
    found = {(report.path.parent / link).resolve() for link in links}
    assert found == {path for item in (first, second) for path in (item.source, item.output)}


def test_failures_stand_in_a_table_and_warnings_are_grouped(report, folder):
    first, second, third = items(folder, "a.png", "b.png", "c.png")
    failed = PhotoFailed(second, InputError("b.png cannot be read", why="damaged"))
    events = [
        Started("defocusfix 1", (first, second, third)),
        done(first, warnings=("profile left out",)),
        failed,
        done(third, warnings=("profile left out",)),
        Finished(2, 0, (failed,), 1.0),
    ]
    elements = page(report, *events)
    assert "b.png cannot be read" in elements.text
    assert "damaged" in elements.text
    assert "2 photos" in elements.text
    assert names(elements) == ["a.png", "c.png"]


def test_photos_of_earlier_runs_are_shown_with_what_the_journal_knows(report, folder):
    known, unknown, claimed = items(folder, "a.png", "b.png", "c.png")
    row = Row(
        state="done", key="a.png", root="", run="r", time="", settings="", model_sha256="",
        seconds=7.5, blur=0.25, warnings=("profile left out",),
    )  # fmt: skip
    report.earlier = lambda item: row if item is known else None
    events = [
        Started("defocusfix 1", (known, unknown, claimed)),
        PhotoSkipped(known, SkipReason.DONE),
        PhotoSkipped(unknown, SkipReason.EXISTS),
        PhotoSkipped(claimed, SkipReason.CLAIMED),
        Finished(0, 2, (), 1.0, n_claimed=1),
    ]
    elements = page(report, *events)
    assert names(elements) == ["a.png", "b.png"]
    for word in ("7.5 s", "25% out of focus", "profile left out"):
        assert word in elements.text
    assert len(elements.all("img")) == 2 + 3


def test_of_too_many_photos_those_with_warnings_and_the_most_blurred_are_shown(
    report, folder, monkeypatch
):
    monkeypatch.setattr(batch_report, "MOST_PHOTOS", 3)
    plan = items(folder, *(f"{n}.png" for n in range(6)))
    photos = [done(item, share=number / 10) for number, item in enumerate(plan)]
    photos[1] = done(plan[1], share=0.0, warnings=("odd",))
    elements = page(report, Started("d", plan), *photos, Finished(6, 0, (), 1.0))
    assert names(elements) == ["1.png", "4.png", "5.png"]
    assert "Of 6 photos, this page shows the 3" in elements.text
    assert report.n_shown == 3


def test_several_runs_stand_on_one_page_which_may_be_written_again(report, folder):
    first, second = items(folder, "a.png", "b.png")
    page(report, Started("d", (first,)), done(first), Finished(1, 0, (), 1.0, megapixels=1.0))
    elements = page(
        report, Started("d", (second,)), done(second), Finished(1, 0, (), 1.0, megapixels=1.0)
    )
    assert names(elements) == ["a.png", "b.png"]
    assert "2 photos" in elements.text
    check_report_place(report.path)


def test_what_is_no_report_is_never_written_over(tmp_path):
    precious = tmp_path / "album.html"
    precious.write_text("<title>my album</title>")
    with pytest.raises(OutputError, match="is not a report"):
        check_report_place(precious)
    with pytest.raises(UsageError, match="HTML"):
        check_report_place(tmp_path / "report.pdf")
    check_report_place(tmp_path / "new" / "report.html")
    assert not (tmp_path / "new").exists()


def test_progress_is_told_once_for_each_photo_shown(report, folder):
    plan = items(folder, "a.png", "b.png")
    for event in (Started("d", plan), *map(done, plan), Finished(2, 0, (), 1.0)):
        report(event)
    told: list[int] = []
    report.write(lambda: told.append(1))
    assert len(told) == report.n_shown == 2


def test_pictures_without_a_journal_are_kept_until_the_page_is_written():
    with picture_store(None) as store:
        assert store._folder.is_dir()
    assert not store._folder.exists()


def test_settings_are_told_in_words():
    settings = RestoreSettings(strength=0.6, protect_sharp=0.5, keep_bokeh_px=12, scale=2)
    treatment = Treatment(
        program="d", target="jpeg", quality=90, keeps_gps=False, area=(1, 2, 3, 4)
    )
    facts = dict(settings_facts(treatment, settings))
    assert facts["Strength"] == "0.6"
    assert facts["Keep bokeh"] == "from a radius of 12 px"
    assert (facts["Finest size"], facts["Area"]) == ("half", "1,2,3,4")
    assert facts["Metadata"] == "keep, without place"


def test_a_page_names_no_place_outside_itself(report, folder):
    (item,) = items(folder, "a.png")
    page(report, Started("d", (item,)), done(item), Finished(1, 0, (), 1.0))
    assert not re.search(r"(src|href)=.(https?:|/)", report.path.read_text(encoding="utf-8"))
