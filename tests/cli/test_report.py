"""`defocusfix restore --report`, as typed."""

from __future__ import annotations

import pytest

from tests.figures.test_page import Elements
from tests.photo import sample_files as samples


@pytest.fixture
def archive(restore):
    folder = restore.folder / "archive"
    (folder / "2024").mkdir(parents=True)
    for name in ("a.png", "2024/b.png"):
        (folder / name).write_bytes(samples.png(samples.scene()))
    (folder / "torn.png").write_bytes(samples.png(samples.scene())[:60])
    return folder


def names_on(page) -> list[str]:
    articles = Elements(page.read_text(encoding="utf-8")).all("article")
    return [article["data-name"] for article in articles]


def test_the_page_shows_what_was_done_and_what_failed(restore, archive):
    told = restore("archive", "-o", "out", "--report", "page.html")
    page = restore.folder / "page.html"
    assert told.exit_code == 3
    assert "page.html" in told.stderr
    assert sorted(names_on(page)) == ["2024/b.png", "a.png"]
    text = Elements(page.read_text(encoding="utf-8")).text
    assert "torn.png cannot be read" in text
    assert "brighten" in text


def test_a_run_that_goes_on_shows_what_earlier_ones_did_too(restore, archive):
    restore("archive", "-o", "out", "--report", "page.html")
    (archive / "c.png").write_bytes(samples.png(samples.scene(30, 40)))
    restore("archive", "-o", "out", "--report", "page.html")
    page = restore.folder / "page.html"
    assert sorted(names_on(page)) == ["2024/b.png", "a.png", "c.png"]
    elements = Elements(page.read_text(encoding="utf-8"))
    assert len([i for i in elements.all("img") if i.get("src")]) == 3
    assert "torn.png" in elements.text


def test_photos_without_a_folder_can_have_a_page_and_leave_nothing_else_behind(restore):
    (restore.folder / "a.png").write_bytes(samples.png(samples.scene()))
    assert restore("a.png", "--report", "page.html").exit_code == 0
    names = sorted(path.name for path in restore.folder.iterdir())
    assert names == ["a.png", "a_restored.png", "page.html"]


def test_a_page_that_is_no_report_is_not_written_over_and_nothing_is_begun(restore, archive):
    page = restore.folder / "page.html"
    page.write_text("precious")
    told = restore("archive", "-o", "out", "--report", "page.html")
    assert told.exit_code == 9
    assert page.read_text() == "precious"
    assert not (restore.folder / "out" / "a_restored.png").exists()
