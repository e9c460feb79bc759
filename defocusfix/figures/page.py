"""Before and after as one HTML page with a slider, complete in itself."""

from __future__ import annotations

import base64
import html
from importlib import resources
from string import Template


def comparison_page(
    before: bytes,
    after: bytes,
    *,
    media_type: str,
    width: int,
    height: int,
    title: str,
    facts: str,
    words: tuple[str, str] = ("before", "after"),
) -> str:
    """An HTML page that shows two pictures over each other, with a slider between them.

    before, after: picture files of the kind `media_type`, such as `image/jpeg`, both of `width` x
    `height` pixels. title, facts: two lines above, as plain text. words: what is written into the
    corners of the two pictures.

    The page loads nothing from anywhere. The slider moves by mouse, finger and arrow keys; a button
    shows the pictures pixel for pixel.
    """
    template = resources.files("defocusfix.figures").joinpath("page.html")
    return Template(template.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        facts=html.escape(facts),
        media_type=html.escape(media_type),
        width=width,
        height=height,
        before=base64.b64encode(before).decode("ascii"),
        after=base64.b64encode(after).decode("ascii"),
        before_word=html.escape(words[0]),
        after_word=html.escape(words[1]),
    )
