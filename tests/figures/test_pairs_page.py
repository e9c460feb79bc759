from __future__ import annotations

import base64
import re

import pytest

from defocusfix.figures.pairs_page import PairEntry, pairs_page
from tests.figures.test_page import Elements


@pytest.fixture(scope="module")
def page() -> str:
    entries = [
        PairEntry(
            name="<b>rose</b> & $thorn",
            verdict="reject",
            files="rose.jpg and rose.png",
            reasons=["the sharp photo is blank"],
            facts=[("shift px", "12.5")],
            pictures=[("blurry", b"first picture"), ("sharp", b"second picture")],
        ),
        PairEntry("tree", "good", "t.jpg and t.jpg", [], [("shift px", "0.1")], []),
    ]
    return pairs_page(
        title="blurry & sharp",
        summary="2 pairs",
        problems=["the folders are <swapped>"],
        remarks=["few pairs"],
        entries=entries,
    )


def test_every_pair_stands_on_the_page_in_the_order_given(page):
    text = Elements(page).text
    for word in ("2 pairs", "the folders are <swapped>", "few pairs", "12.5", "rose.jpg"):
        assert word in text
    assert text.index("the sharp photo is blank") < text.index("tree")
    assert [s["class"] for s in Elements(page).all("section")] == ["reject", "good"]


def test_pictures_are_inside_the_page_and_named(page):
    pictures = Elements(page).all("img")
    contents = [base64.b64decode(p["src"].partition("base64,")[2]) for p in pictures]
    assert contents == [b"first picture", b"second picture"]
    assert all("rose" in picture["alt"] for picture in pictures)


def test_nothing_is_loaded_from_anywhere_and_names_are_no_markup(page):
    elements = Elements(page)
    assert not re.search(r"https?://|url\(|@import|<script", page)
    (policy,) = [m["content"] for m in elements.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy
    assert elements.all("b") == []
    assert "<b>rose</b> & $thorn" in elements.text
