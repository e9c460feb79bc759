from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from defocusfix.errors import InputError, OutputError
from defocusfix.jobs.files import Streams
from defocusfix.jobs.plan import Item
from defocusfix.jobs.restoring import Restoring, output_suffix
from defocusfix.jobs.treatment import Treatment
from defocusfix.photo.read import read_photo
from defocusfix.restoration.restorer import Restorer
from tests.photo import sample_files as samples
from tests.restoration.stand_in_engines import brighter


class Closed:
    """Standard input and output that must not be touched."""

    def read(self) -> bytes:
        raise AssertionError("standard input was read")

    def write(self, content: bytes) -> None:
        raise AssertionError("standard output was written")


def restoring(**wishes: object) -> tuple[Restoring, list[int]]:
    """The work, and the depths for which it opens restorers."""
    depths: list[int] = []

    def restorer_for(bits: int) -> Restorer:
        depths.append(bits)
        return Restorer(brighter())

    streams = Streams(Closed().read, Closed().write)
    treatment = Treatment(program="test 1.0", **wishes)
    return Restoring(treatment, restorer_for, streams, may_overwrite=False), depths


@pytest.mark.parametrize(
    ("name", "target", "suffix"),
    [
        ("photo.jpg", None, ".jpg"),
        ("photo.JPEG", "jpeg", ".JPEG"),
        ("photo.jpg", "png16", ".png"),
        ("photo.tiff", "tiff32f", ".tiff"),
        ("photo.nef", None, ".tif"),
        ("photo.HEIC", None, ".jpg"),
        ("photo.heic", "avif", ".avif"),
        ("photo.bmp", None, ".bmp"),
        ("scan", None, ""),
    ],
)
def test_an_output_is_named_after_the_format_it_will_have(name, target, suffix):
    assert output_suffix(Treatment(program="test", target=target), Path(name)) == suffix


@pytest.mark.parametrize(
    ("name", "wishes", "depths"),
    [
        ("photo.jpg", {}, [8]),
        ("photo.png", {}, []),
        ("photo.jpg", {"target": "tiff16"}, [16]),
        ("photo.tif", {"target": "jpeg"}, [8]),
    ],
)
def test_the_engine_is_opened_early_where_the_name_tells_the_depth(name, wishes, depths):
    work, opened = restoring(**wishes)
    work.warm_up(Item(Path(name), Path("out")))
    assert opened == depths


@pytest.mark.parametrize(
    ("wishes", "bits"), [({}, 16), ({"target": "jpeg"}, 8), ({"target": "tiff32f"}, 32)]
)
def test_the_engine_computes_for_the_depth_of_the_output(tmp_path, wishes, bits):
    path = tmp_path / "photo.tif"
    path.write_bytes(samples.tiff(samples.scene(bits=16)))
    work, opened = restoring(**wishes)
    work.method(work.read(Item(path, None)))
    assert opened == [bits]


def test_where_the_photo_cannot_be_written_nothing_new_is_left_beside_it(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(samples.jpeg(samples.scene()))
    work, _ = restoring(comparison="side")
    taken = tmp_path / "photo_restored.jpg"
    taken.write_bytes(b"precious")
    item = Item(path, taken, tmp_path / "map.png", tmp_path / "both.png")
    computed = work.compute(item, work.read(item), lambda share: None)
    with pytest.raises(OutputError, match="exists already"):
        computed.save()
    assert sorted(tmp_path.iterdir()) == [path, taken]
    assert taken.read_bytes() == b"precious"


def test_a_map_that_was_there_before_is_not_taken_away(tmp_path):
    path, its_map = tmp_path / "photo.jpg", tmp_path / "map.png"
    path.write_bytes(samples.jpeg(samples.scene()))
    its_map.write_bytes(b"older")
    work, _ = restoring()
    item = Item(path, tmp_path / "out.jpg", its_map)
    computed = work.compute(item, work.read(item), lambda share: None)
    with pytest.raises(OutputError, match=r"map\.png exists already"):
        computed.save()
    assert its_map.read_bytes() == b"older"
    assert not (tmp_path / "out.jpg").exists()


def test_a_mask_that_is_no_picture_is_refused_before_any_photo(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(b"nothing of use")
    with pytest.raises(InputError, match=r"mask\.png"):
        restoring(mask=path)


def test_the_pixels_that_were_read_survive_where_they_are_still_needed(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(samples.png(samples.scene()))
    work, _ = restoring(comparison="side")
    item = Item(path, tmp_path / "out.png", comparison_output=tmp_path / "both.png")
    photo = work.read(item)
    work.compute(item, photo, lambda share: None)
    assert np.array_equal(photo.pixels, read_photo(path).pixels)


def test_an_output_is_written_over_only_if_its_item_says_so(tmp_path):
    photo, output = tmp_path / "photo.png", tmp_path / "out.png"
    photo.write_bytes(samples.png(np.zeros((4, 4, 3), np.uint8)))
    output.write_bytes(b"mine")
    work, _ = restoring()
    for item in (Item(photo, output), Item(photo, output, replaces=True)):
        computed = work.compute(item, work.read(item), lambda share: None)
        if not item.replaces:
            with pytest.raises(OutputError, match="exists already"):
                computed.save()
            assert output.read_bytes() == b"mine"
    computed.save()
    assert read_photo(output).width == 4
