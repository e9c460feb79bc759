from __future__ import annotations

from typing import get_args

import pytest

from defocusfix.errors import UsageError
from defocusfix.jobs import treatment
from defocusfix.jobs.treatment import Treatment, map_format_of
from defocusfix.photo import convert, reduce


def test_what_can_be_asked_for_is_what_photos_can_be_saved_as():
    assert get_args(treatment.Target) == get_args(convert.Target)
    assert get_args(treatment.Metadata) == get_args(reduce.Policy)


@pytest.mark.parametrize(
    ("path", "asked", "expected"),
    [
        ("", None, "png16"),
        ("", "npy", "npy"),
        ("map.npy", None, "npy"),
        ("MAP.TIFF", None, "tiff"),
        ("map.png", None, "png16"),
        ("map.png", "color", "color"),
    ],
)
def test_a_map_has_the_format_that_was_asked_for_or_that_its_name_ends_in(path, asked, expected):
    assert map_format_of(path, asked) == expected


@pytest.mark.parametrize(("path", "asked"), [("map.jpg", None), ("map.png", "npy"), ("map", None)])
def test_a_map_whose_name_ends_in_another_format_is_refused(path, asked):
    with pytest.raises(UsageError, match="cannot be saved as"):
        map_format_of(path, asked)


def test_a_quality_is_refused_where_it_means_nothing():
    with pytest.raises(UsageError, match="loses nothing"):
        Treatment(program="test", target="png16", quality=90)
    with pytest.raises(UsageError, match="between 1 and 100"):
        Treatment(program="test", quality=0)
