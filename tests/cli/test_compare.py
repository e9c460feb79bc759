from __future__ import annotations

import pytest

from defocusfix.photo.read import read_photo
from tests.photo import sample_files as samples


@pytest.fixture
def compare(defocusfix, tmp_path, monkeypatch):
    """`defocusfix compare` in a folder with two photos of one size and one of another."""
    monkeypatch.chdir(tmp_path)
    for name, height in (("before.png", 48), ("after.png", 48), ("small.png", 40)):
        (tmp_path / name).write_bytes(samples.png(samples.scene(height)))
    return lambda *words: defocusfix("compare", *words)


def test_two_photos_become_a_page_beside_the_first(compare, tmp_path):
    told = compare("before.png", "after.png")
    assert (told.exit_code, told.stdout) == (0, "")
    assert "before.png and after.png" in (tmp_path / "before_compare.html").read_text()


def test_the_suffix_says_whether_it_is_a_page_or_a_picture(compare, tmp_path):
    assert compare("before.png", "after.png", "-o", "both.png").exit_code == 0
    assert read_photo(tmp_path / "both.png").width > 2 * 64
    assert compare("before.png", "after.png", "-o", "both.gif").exit_code == 2


def test_photos_of_two_sizes_are_refused(compare, tmp_path):
    told = compare("before.png", "small.png")
    assert told.exit_code == 4
    assert "64 x 48 and 64 x 40" in told.stderr
    assert not (tmp_path / "before_compare.html").exists()


def test_nothing_is_overwritten_unasked_and_the_photos_never(compare, tmp_path):
    (tmp_path / "before_compare.html").write_text("precious")
    assert compare("before.png", "after.png").exit_code == 9
    assert compare("before.png", "after.png", "--on-exists", "skip").exit_code == 0
    assert (tmp_path / "before_compare.html").read_text() == "precious"
    for name in ("before.png", "after.png"):
        words = ("before.png", "after.png", "-o", name, "--on-exists", "overwrite")
        assert compare(*words).exit_code == 9
