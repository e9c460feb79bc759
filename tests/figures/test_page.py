from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest

from defocusfix.figures.page import comparison_page


class Elements(HTMLParser):
    """All elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def page() -> str:
    return comparison_page(
        b"first picture",
        b"second picture",
        media_type="image/jpeg",
        width=300,
        height=200,
        title='<b>"rose" & $thorn.jpg',
        facts="300 x 200",
    )


def test_both_pictures_are_inside_the_page(page):
    first, second = Elements(page).all("img")
    for picture, content in ((first, b"first picture"), (second, b"second picture")):
        kind, _, data = picture["src"].partition(";base64,")
        assert kind == "data:image/jpeg"
        assert base64.b64decode(data) == content
        assert (picture["width"], picture["height"]) == ("300", "200")
        assert picture["alt"]


def test_nothing_is_loaded_from_anywhere_and_the_browser_is_told_so(page):
    elements = Elements(page)
    sources = [a[key] for _, a in elements.found for key in ("src", "href") if key in a]
    assert all(source.startswith("data:") for source in sources)
    assert not re.search(r"https?://|url\(|@import", page)
    (policy,) = [m["content"] for m in elements.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy


def test_what_the_user_called_the_photo_is_text_and_no_markup(page):
    elements = Elements(page)
    assert '<b>"rose" & $thorn.jpg' in elements.text
    assert elements.all("b") == []


def test_the_slider_and_the_button_can_be_reached_and_named_without_a_mouse(page):
    elements = Elements(page)
    (slider,) = elements.all("input")
    assert slider["type"] == "range"
    assert slider["aria-label"]
    assert elements.all("button")
