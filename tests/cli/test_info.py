from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from defocusfix.rendering.photos import dead_leaves
from tests.photo import sample_files as samples
from tests.restoration import small_networks


def exif() -> bytes:
    """What a full-frame camera says of a portrait."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = "Maker", "Camera 1"
    inner = tags.get_ifd(0x8769)
    inner[0x829A] = IFDRational(1, 200)
    inner[0x829D] = IFDRational(18, 10)
    inner[0x8827] = 400
    inner[0x9206] = IFDRational(230, 100)
    inner[0x920A] = IFDRational(85, 1)
    inner[0xA405] = 85
    inner[0xA434] = "Lens 85 mm"
    return tags.tobytes().removeprefix(b"Exif\0\0")


@pytest.fixture
def info(typed):
    """`defocusfix info` with a network that says 1.5 px at half size."""
    command = typed("info")
    small_networks.addition(command.model, radius_px=1.5, name="brighten")
    source = samples.jpeg(samples.scene(), exif=exif(), icc_profile=samples.PROFILE)
    (command.folder / "photo.jpg").write_bytes(source)
    (command.folder / "plain.png").write_bytes(samples.png(samples.scene(channels=1)))
    return command


def test_a_photo_is_described_with_camera_blur_and_what_restore_would_do(info):
    told = info("photo.jpg")
    assert told.exit_code == 0
    for fact in (
        "64 x 48 (0.0 MP), JPEG, 8-bit, sRGB built-in",
        "Maker Camera 1",
        "Lens 85 mm",
        "85 mm, f/1.8, 1/200 s, ISO 400",
        "at 2.3 m",
        "34.6 x 26.0 mm, 541 micrometres a pixel (from the 35 mm equivalent focal length)",
        "100% of the frame is out of focus",
        "median 3.0 px (1622 micrometres)",
        "writes photo_restored.jpg; 100% at full size",
        "brighten, onnxruntime",
    ):
        assert fact in told.stdout, fact
    assert sorted(file.name for file in info.folder.iterdir()) == ["photo.jpg", "plain.png"]


def test_what_a_photo_does_not_say_is_left_out(info):
    said = info("plain.png").stdout
    assert "gray, 8-bit, no colour profile" in said
    for label in ("camera", "lens", "exposure", "focused", "sensor", "micrometres"):
        assert label not in said


def test_json_is_one_object_a_photo(info):
    told = info("photo.jpg", "plain.png", "--json")
    photo, plain = (json.loads(line) for line in told.stdout.splitlines())
    assert (photo["schema"], photo["event"], photo["profile"]) == (1, "info", "sRGB built-in")
    assert photo["camera"]["focus_distance_m"] == 2.3
    assert photo["radius_px"]["median"] == 3.0
    assert photo["radius_um"]["median"] == pytest.approx(3 * photo["camera"]["pixel_pitch_um"])
    assert photo["restore"]["output"] == "photo_restored.jpg"
    assert photo["restore"]["seconds"] > 0
    assert plain["camera"]["name"] is None
    assert "radius_um" not in plain


def test_blur_that_runs_in_one_direction_is_answered_with_a_network_for_it(info):
    leaves = dead_leaves(np.random.default_rng(5), 384).astype(np.float32)
    moved = cv2.blur(leaves, (12, 1)).round().astype(np.uint8)
    (info.folder / "moved.png").write_bytes(samples.png(moved))
    assert "try: defocusfix restore -m nafnet-motion moved.png" in info("moved.png").stdout
    assert json.loads(info("moved.png", "--json").stdout)["looks_moved"] is True
    assert "nafnet-motion" not in info("photo.jpg").stdout


def test_a_network_without_a_map_leaves_the_blur_unknown(info):
    small_networks.image_to_restored(info.model)
    said = info("photo.jpg").stdout
    assert "not known: the model gives no map" in said
    assert "writes photo_restored.jpg" in said


def test_a_broken_photo_does_not_hide_the_others(info):
    (info.folder / "broken.jpg").write_bytes(b"nothing of use")
    assert info("broken.jpg").exit_code == 4
    told = info("broken.jpg", "photo.jpg")
    assert told.exit_code == 3
    assert "Lens 85 mm" in told.stdout
    events = [
        json.loads(line) for line in info("broken.jpg", "photo.jpg", "--json").stdout.splitlines()
    ]
    assert [event["event"] for event in events] == ["photo_failed", "info", "error"]
