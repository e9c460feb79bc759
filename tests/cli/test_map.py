from __future__ import annotations

import json

import numpy as np
import pytest

from defocusfix.photo.read import read_photo
from tests.photo import sample_files as samples
from tests.restoration import small_networks


@pytest.fixture
def map_defocus(typed):
    """`defocusfix map` with two photos and a network that says 1.5 px at every size."""
    command = typed("map")
    small_networks.addition(command.model, radius_px=1.5, name="brighten")
    (command.folder / "a.jpg").write_bytes(samples.jpeg(samples.scene()))
    (command.folder / "b.tif").write_bytes(samples.tiff(samples.scene(bits=16)))
    return command


def test_maps_stand_beside_their_photos_and_nothing_is_restored(map_defocus):
    told = map_defocus("a.jpg", "b.tif")
    assert (told.exit_code, told.stdout) == (0, "")
    names = sorted(file.name for file in map_defocus.folder.iterdir())
    assert names == ["a.jpg", "a_defocus.png", "b.tif", "b_defocus.png"]
    # Looked at in half the size, where one pixel is two of the photo's.
    codes = read_photo(map_defocus.folder / "a_defocus.png").pixels
    assert codes.shape == (48, 64, 1)
    assert np.unique(codes).tolist() == [3 * 1024]
    assert "100% was out of focus" in told.stderr


def test_the_size_that_is_looked_at_can_be_chosen(map_defocus):
    assert map_defocus("a.jpg", "--scale", 1, "-o", "fine.npy").exit_code == 0
    assert np.unique(np.load(map_defocus.folder / "fine.npy")).tolist() == [1.5]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--format", "npy"), "a_defocus.npy"),
        (("--format", "tiff"), "a_defocus.tif"),
        (("--format", "color"), "a_defocus.png"),
        (("-o", "maps/"), "maps/a_defocus.png"),
        (("-o", "x.tif"), "x.tif"),
        (("-o", "x.png", "--format", "color"), "x.png"),
    ],
)
def test_a_map_goes_where_and_how_it_is_asked_for(map_defocus, words, name):
    assert map_defocus("a.jpg", *words).exit_code == 0
    assert (map_defocus.folder / name).exists()


@pytest.mark.parametrize(
    "words", [("-o", "x.jpg"), ("-o", "x.npy", "--format", "tiff"), ("--json", "-o", "-")]
)
def test_contradictions_are_refused(map_defocus, words):
    assert map_defocus("a.jpg", *words).exit_code == 2


def test_events_tell_how_blurred_a_photo_is(map_defocus):
    told = map_defocus("a.jpg", "--json")
    done = json.loads(told.stdout.splitlines()[-2])
    assert (done["event"], done["share_out_of_focus"]) == ("photo_done", 1.0)
    assert done["radius_px"]["median"] == 3.0


def test_a_network_that_gives_no_map_is_refused(map_defocus):
    small_networks.image_to_restored(map_defocus.model)
    told = map_defocus("a.jpg")
    assert told.exit_code == 2
    assert "gives no defocus map" in told.stderr
