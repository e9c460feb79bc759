"""All photos of a batch on one HTML page, complete in itself: before, after, facts and failures."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Final

MARK: Final = '<meta name="generator" content="defocusfix batch page">'
"""Stands near the beginning of every such page, and of no other one."""
PHOTOS_GO_HERE: Final = "<!-- photos -->"
Facts = Sequence[tuple[str, str]]
"""Labels and values."""


@dataclass(frozen=True, slots=True)
class ReportPictures:
    """What a page shows of one photo. All pictures are WebP files in sRGB."""

    thumbnail: bytes
    """The whole photo after, small."""
    before: bytes
    """The place that changed most, pixel for pixel."""
    after: bytes
    """The same place."""
    size: tuple[int, int]
    """(height, width) of the whole photo."""
    crop: tuple[int, int, int, int]
    """Top, left, height and width of that place in the photo."""


@dataclass(frozen=True, slots=True)
class BatchPhoto:
    """One photo that is done. All texts are plain."""

    name: str
    facts: Sequence[str]
    """A few words each, such as "6000 x 4000"."""
    warnings: Sequence[str]
    share_out_of_focus: float | None
    """0 to 1; None if it is not known."""
    seconds: float | None
    """What it took; None if it is not known."""
    links: Facts
    """Words and addresses relative to the page, percent-encoded."""
    pictures: ReportPictures | None
    """None if there are none to be had."""


@dataclass(frozen=True, slots=True)
class BatchFailure:
    """One photo that could not be done. All texts are plain."""

    name: str
    reason: str
    link: str
    """Address of the photo relative to the page, percent-encoded; empty for none."""


def batch_page(
    *,
    title: str,
    facts: Facts,
    settings: Facts,
    remarks: Sequence[str],
    kinds: Sequence[tuple[str, int]],
    failures: Sequence[BatchFailure],
    photos: Iterable[BatchPhoto],
) -> Iterator[str]:
    """The page piece by piece, in the order of its file, so that it never stands in memory whole.

    facts: of the whole batch. remarks: sentences on what the page does not show. kinds: warnings
    with the number of photos each is true of. photos: taken one at a time.

    The page loads nothing from anywhere. Pictures of a photo are decoded when it is opened.
    """
    page = resources.files("defocusfix.figures").joinpath("batch_page.html")
    head, tail = page.read_text(encoding="utf-8").split(PHOTOS_GO_HERE)
    yield Template(head).substitute(
        mark=MARK,
        title=_text(title),
        facts=_definitions(facts),
        settings=_definitions(settings),
        remarks="".join(f"<p>{_text(remark)}</p>" for remark in remarks),
        kinds="".join(map(_kind, kinds)),
        failures="".join(map(_failure, failures)),
    )
    yield from map(_photo, photos)
    yield tail


def _photo(photo: BatchPhoto) -> str:
    about = {"name": photo.name, "share": photo.share_out_of_focus, "seconds": photo.seconds}
    data = "".join(f' data-{k}="{_text(str(v))}"' for k, v in about.items() if v is not None)
    facts = "".join(f"<li>{_text(fact)}</li>" for fact in photo.facts)
    warnings = "".join(f"<li>{_text(warning)}</li>" for warning in photo.warnings)
    links = "".join(f'<a href="{_text(link)}">{_text(words)}</a> ' for words, link in photo.links)
    return (
        f"<article{data}>{_opener(photo)}<h3>{_text(photo.name)}</h3>"
        f'<ul class="facts">{facts}</ul><ul class="warnings">{warnings}</ul>'
        f"<p>{links}</p></article>\n"
    )


def _opener(photo: BatchPhoto) -> str:
    """The thumbnail as a button, and what it opens as data that nothing decodes before."""
    pictures = photo.pictures
    if pictures is None:
        return '<div class="none">no picture</div>'
    height, width = pictures.size
    crops = {
        "before": _base64(pictures.before),
        "after": _base64(pictures.after),
        "size": pictures.size,
        "crop": pictures.crop,
    }
    return (
        f'<button type="button" aria-label="{_text(photo.name)}, before and after">'
        f'<img loading="lazy" decoding="async" alt="" width="{width}" height="{height}" '
        f'src="data:image/webp;base64,{_base64(pictures.thumbnail)}"></button>'
        f'<script type="application/json">{json.dumps(crops)}</script>'
    )


def _failure(failure: BatchFailure) -> str:
    name = _text(failure.name)
    if failure.link:
        name = f'<a href="{_text(failure.link)}">{name}</a>'
    reason = _text(failure.reason).replace("\n", "<br>")
    return f"<tr><th scope='row'>{name}</th><td>{reason}</td></tr>\n"


def _kind(kind: tuple[str, int]) -> str:
    words, n_photos = kind
    number = f"{n_photos:,} photo{'' if n_photos == 1 else 's'}"
    return f'<li><button type="button" data-words="{_text(words)}">{number}</button> {_text(words)}'


def _definitions(facts: Facts) -> str:
    return "".join(f"<div><dt>{_text(k)}</dt><dd>{_text(v)}</dd></div>" for k, v in facts)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _text(value: str) -> str:
    """Plain text as markup; bytes of a name that are no text in any encoding become signs."""
    readable = value.encode("utf-8", "replace").decode("utf-8")
    return html.escape(readable)
