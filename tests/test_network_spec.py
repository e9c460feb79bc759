from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.errors import ModelError
from defocusfix.network_spec import METADATA_PREFIX, NetworkSpec

FACTS = {
    "name": "focusnet-s",
    "architecture": "focusnet",
    "size_multiple": 16,
    "halo": 64,
    "levels": 3,
    "licence": "Apache-2.0",
}


@given(
    name=st.text(),
    licence=st.text(),
    training_data=st.text(),
    halo=st.integers(0, 500),
    levels=st.integers(1, 6),
    black=st.floats(-10, 0),
    white=st.floats(0.1, 255),
    tile=st.integers(0, 2000),
    half_overlap=st.integers(0, 100),
    views=st.sampled_from([(), ("left", "right"), ("right", "left")]),
)
def test_what_is_written_is_read_back(
    name, licence, training_data, halo, levels, black, white, tile, half_overlap, views
):
    spec = NetworkSpec(
        name=name,
        architecture="focusnet",
        size_multiple=16,
        halo=halo,
        levels=levels,
        licence=licence,
        training_data=training_data,
        value_range=(black, white),
        tile=tile,
        overlap=2 * half_overlap,
        views=views,
    )
    metadata = spec.to_metadata()
    assert all(key.startswith(METADATA_PREFIX) for key in metadata)
    assert NetworkSpec.from_metadata({**metadata, "producer": "another"}) == spec


@pytest.mark.parametrize("key", sorted(NetworkSpec(**FACTS).to_metadata()))
def test_a_missing_entry_is_named(key):
    metadata = NetworkSpec(**FACTS).to_metadata()
    del metadata[key]
    with pytest.raises(ModelError, match=key):
        NetworkSpec.from_metadata(metadata)


@pytest.mark.parametrize(
    ("entry", "text"),
    [("halo", "wide"), ("levels", ""), ("value_range", "0.0"), ("outputs", "radius_px")],
)
def test_an_entry_that_makes_no_sense_is_a_model_error(entry, text):
    metadata = NetworkSpec(**FACTS).to_metadata() | {METADATA_PREFIX + entry: text}
    with pytest.raises(ModelError):
        NetworkSpec.from_metadata(metadata)


@pytest.mark.parametrize(
    "contradiction",
    [
        {"size_multiple": 0},
        {"size_multiple": 15},
        {"halo": -1},
        {"levels": 0},
        {"tile": -1},
        {"overlap": 15},
        {"value_range": (1.0, 0.0)},
        {"views": ("left",)},
        {"views": ("left", "left")},
        {"outputs": ("radius_px",)},
        {"outputs": ("restored",)},
    ],
)
def test_contradictions_are_refused(contradiction):
    with pytest.raises(ValueError, match=r"must|halves"):
        NetworkSpec(**FACTS | contradiction)


def test_a_network_of_one_level_takes_the_image_alone():
    assert NetworkSpec(**FACTS).inputs == ("image", "coarse")
    assert NetworkSpec(**FACTS | {"levels": 1, "outputs": ("restored",)}).inputs == ("image",)


def test_a_network_for_dual_pixel_photos_also_takes_views_in_its_own_order():
    views = {"views": ("right", "left")}
    of_one_level = NetworkSpec(**FACTS | views | {"levels": 1})
    assert of_one_level.inputs == ("image", "right", "left")
    of_several = NetworkSpec(**FACTS | views)
    assert of_several.inputs == ("image", "coarse", "right", "left")
    assert of_several.input_shapes(2, 32, 48) == {
        "image": (2, 3, 32, 48),
        "coarse": (2, 4, 16, 24),
        "right": (2, 3, 32, 48),
        "left": (2, 3, 32, 48),
    }


def test_what_is_usual_is_left_out_of_files_so_that_older_ones_are_read():
    keys = {METADATA_PREFIX + name for name in ("tile", "overlap", "views")}
    assert not keys & NetworkSpec(**FACTS).to_metadata().keys()
    assert (
        keys
        <= NetworkSpec(**FACTS | {"tile": 64, "overlap": 2, "views": ("left", "right")})
        .to_metadata()
        .keys()
    )
