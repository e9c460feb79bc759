"""Pairs of photos with their verdicts as one HTML page, complete in itself."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template


@dataclass(frozen=True, slots=True)
class PairEntry:
    """One pair on the page. All texts are plain."""

    name: str
    verdict: str
    """good, usable or reject; its colour."""
    files: str
    """What the photos are called."""
    reasons: Sequence[str]
    facts: Sequence[tuple[str, str]]
    """Labels and values."""
    pictures: Sequence[tuple[str, bytes]]
    """Captions and JPEG files, side by side."""


def pairs_page(
    *,
    title: str,
    summary: str,
    problems: Sequence[str],
    remarks: Sequence[str],
    entries: Sequence[PairEntry],
) -> str:
    """An HTML page that loads nothing from anywhere, with one section for each pair, in order.

    problems, remarks: sentences on all pairs, above them.
    """
    template = resources.files("defocusfix.figures").joinpath("pairs_page.html")
    notes = [f'<li class="problem">{_text(line)}</li>' for line in problems]
    notes += [f"<li>{_text(line)}</li>" for line in remarks]
    return Template(template.read_text(encoding="utf-8")).substitute(
        title=_text(title),
        summary=_text(summary),
        notes="\n".join(notes),
        entries="\n".join(map(_section, entries)),
    )


def _section(entry: PairEntry) -> str:
    reasons = "".join(f"<li>{_text(reason)}</li>" for reason in entry.reasons)
    facts = "".join(f"<div><dt>{_text(k)}</dt><dd>{_text(v)}</dd></div>" for k, v in entry.facts)
    pictures = "".join(
        f'<figure><img loading="lazy" alt="{_text(caption)} of {_text(entry.name)}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(content).decode("ascii")}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
        for caption, content in entry.pictures
    )
    return (
        f'<section class="{_text(entry.verdict)}">'
        f'<h2><span class="verdict">{_text(entry.verdict)}</span> {_text(entry.name)}</h2>'
        f"<p>{_text(entry.files)}</p>"
        f'<ul class="reasons">{reasons}</ul>'
        f'<div class="pictures">{pictures}</div><dl>{facts}</dl></section>'
    )


def _text(value: str) -> str:
    return html.escape(value)
