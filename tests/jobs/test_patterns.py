from __future__ import annotations

import fnmatch
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.jobs.patterns import Patterns

names = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name != ".")
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
pieces = st.one_of(st.text("ab*?.", min_size=1, max_size=3), st.just("**"))
patterns = st.lists(pieces.filter(lambda piece: piece != "."), min_size=2, max_size=4)


def fits_by_hand(path: str, pattern: list[str]) -> bool:
    """Write every ** out as none to four folders of any name, and compare part by part."""
    parts = path.split("/")
    choices = [[["*"] * n for n in range(5)] if p == "**" else [[p]] for p in pattern]
    written_out = (list(itertools.chain(*choice)) for choice in itertools.product(*choices))
    return any(
        len(spelled) == len(parts) and all(map(fnmatch.fnmatchcase, parts, spelled))
        for spelled in written_out
    )


@given(path=paths, pattern=patterns)
def test_a_pattern_fits_as_if_its_folders_were_written_out(path, pattern):
    assert Patterns(["/".join(pattern)]).fit(path) == fits_by_hand(path, pattern)


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("*.jpg", ["a.jpg", "x/y/a.JPG"], ["a.jpeg", "a.jpg/b.png"]),
        ("img_?.tif", ["IMG_1.TIF"], ["img_10.tif"]),
        ("2024/**", ["2024/a.jpg", "2024/x/y/a.jpg"], ["2025/a.jpg", "x/2024/a.jpg"]),
        ("2024/*", ["2024/a.jpg"], ["2024/x/a.jpg"]),
        ("**/best/*.jpg", ["best/a.jpg", "x/y/best/a.jpg"], ["best/x/a.jpg"]),
        ("a/**/b.jpg", ["a/b.jpg", "a/x/y/b.jpg"], ["b.jpg", "a/b.png"]),
        ("raw/", ["raw/a.dng", "x/raw/y/a.dng"], ["raw.dng", "draw/a.dng"]),
        ("./x/a.jpg", ["x/a.jpg"], ["a.jpg"]),
        ("[ab]*.jpg", ["a1.jpg", "B.jpg"], ["c.jpg"]),
        ("caf\u00e9*", ["cafe\u0301.jpg", "CAF\u00c9.jpg"], ["cafe.jpg"]),
        ("**", ["a.jpg", "x/a.jpg"], []),
    ],
)
def test_patterns_mean_what_shells_mean_by_them(pattern, fitting, others):
    assert [path for path in fitting if not Patterns([pattern]).fit(path)] == []
    assert [path for path in others if Patterns([pattern]).fit(path)] == []


def test_one_of_several_patterns_is_enough_and_none_fits_nothing():
    assert Patterns(["*.tif", "*.jpg"]).fit("a.jpg")
    assert not Patterns([]).fit("a.jpg")
