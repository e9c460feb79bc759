"""What the options of `restore` do to the output, with a network that brightens by a tenth."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import exifread
import numpy as np
import pytest

from defocusfix.photo.read import read_photo
from tests.photo import sample_files as samples
from tests.restoration import small_networks

ROOT = Path(__file__).parents[2]


@pytest.fixture
def photo(restore) -> Path:
    """An 8-bit PNG of 64 x 48 in the folder where the command runs."""
    path = restore.folder / "photo.png"
    path.write_bytes(samples.png(samples.scene()))
    return path


def change(before: Path, after: Path) -> np.ndarray:
    """How much brighter each pixel became, in steps of 8 bits."""
    return read_photo(after).pixels.astype(int) - read_photo(before).pixels


@pytest.mark.parametrize(
    ("asked", "name", "kind", "bits"),
    [
        ("jpeg", "photo_restored.jpg", "jpeg", 8),
        ("png16", "photo_restored.png", "png", 16),
        ("tiff", "photo_restored.tif", "tiff", 8),
        ("tiff16", "photo_restored.tif", "tiff", 16),
        ("tiff32f", "photo_restored.tif", "tiff", 32),
        ("webp", "photo_restored.webp", "webp", 8),
        ("avif", "photo_restored.avif", "avif", 8),
    ],
)
def test_another_format_is_another_name_and_depth(restore, photo, asked, name, kind, bits):
    told = restore(photo.name, "--format", asked)
    assert (told.exit_code, told.stdout) == (0, "")
    result = read_photo(restore.folder / name)
    assert (result.format, result.bits) == (kind, bits)
    before = read_photo(photo)
    shares = result.pixels / result.largest_value - before.pixels / before.largest_value
    assert shares[before.pixels < 200].mean() == pytest.approx(0.1, abs=0.01)


def test_a_deeper_output_is_restored_at_its_own_depth(restore, photo):
    assert restore(photo.name, "--format", "png16", "-o", "deep.png").exit_code == 0
    values = read_photo(restore.folder / "deep.png").pixels
    # 8-bit steps plus a tenth of white lie between the 256 values that 8 bits have.
    assert (values % 257 != 0).mean() > 0.5


def test_the_best_of_a_network_that_is_the_same_on_all_sides_is_what_it_always_gives(
    restore, photo
):
    assert restore(photo.name).exit_code == 0
    assert restore(photo.name, "--best", "-o", "best.png").exit_code == 0
    assert (change(restore.folder / "photo_restored.png", restore.folder / "best.png") == 0).all()


def test_a_format_keeps_the_spelling_of_a_suffix_that_fits_it(restore):
    (restore.folder / "photo.JPEG").write_bytes(samples.jpeg(samples.scene()))
    assert restore("photo.JPEG", "--format", "jpeg").exit_code == 0
    assert (restore.folder / "photo_restored.JPEG").exists()


def test_quality_makes_a_lossy_file_smaller(restore):
    (restore.folder / "photo.jpg").write_bytes(samples.jpeg(samples.scene(300, 400), quality=95))
    assert restore("photo.jpg", "-o", "same.jpg").exit_code == 0
    assert restore("photo.jpg", "-o", "low.jpg", "--quality", 20).exit_code == 0
    sizes = [(restore.folder / name).stat().st_size for name in ("low.jpg", "same.jpg")]
    assert sizes[0] < sizes[1] / 2
    assert restore("photo.jpg", "--quality", 20, "--format", "png").exit_code == 2


def test_metadata_can_be_kept_reduced_or_left_out(restore):
    source = samples.jpeg(samples.scene(), exif=samples.exif(), icc_profile=samples.PROFILE)
    (restore.folder / "photo.jpg").write_bytes(source)

    def tags(*words: str) -> dict[str, object]:
        assert (
            restore("photo.jpg", "-o", "out.jpg", "--on-exists", "overwrite", *words).exit_code == 0
        )
        result = (restore.folder / "out.jpg").read_bytes()
        assert read_photo(result).icc_profile == samples.PROFILE
        return exifread.process_file(io.BytesIO(result), details=False)

    kept = tags()
    assert {"GPS GPSLatitude", "EXIF FNumber", "Image Make"} <= kept.keys()
    assert "defocusfix" in str(kept["Image Software"])
    assert "brighten" in str(kept["Image Software"])
    without_place = tags("--no-gps")
    assert "EXIF FNumber" in without_place
    assert not any(name.startswith("GPS") for name in without_place)
    assert "EXIF FNumber" not in tags("--metadata", "minimal")
    assert tags("--metadata", "none") == {}


def test_a_mask_keeps_black_places_to_the_pixel_whatever_its_size(restore, photo):
    mask = np.zeros((24, 32, 1), np.uint8)
    mask[:, 16:] = 255
    (restore.folder / "mask.png").write_bytes(samples.png(mask))
    assert restore(photo.name, "--mask", "mask.png").exit_code == 0
    steps = change(photo, restore.folder / "photo_restored.png")
    assert not steps[:, :30].any()
    assert steps[:, 56:].mean() > 10
    assert 0 < steps[:, 36].mean() < steps[:, 56].mean()


def test_a_mask_of_another_shape_or_none_at_all_is_refused(restore, photo):
    (restore.folder / "mask.png").write_bytes(samples.png(np.zeros((30, 30, 1), np.uint8)))
    told = restore(photo.name, "--mask", "mask.png")
    assert told.exit_code == 4
    assert "30 x 30" in told.stderr
    assert restore(photo.name, "--mask", "missing.png").exit_code == 4


def test_a_crop_is_restored_as_in_the_whole_photo(restore, photo):
    assert restore(photo.name, "-o", "whole.png").exit_code == 0
    assert restore(photo.name, "-o", "part.png", "--crop", "10,20,30,16", "--map").exit_code == 0
    whole, part = (read_photo(restore.folder / name) for name in ("whole.png", "part.png"))
    assert np.array_equal(part.pixels, whole.pixels[20:36, 10:40])
    assert read_photo(restore.folder / "photo_defocus.png").pixels.shape == (16, 30, 1)


@pytest.mark.parametrize(
    ("area", "exit_code"), [("1,2,3", 2), ("a,b,c,d", 2), ("0,0,0,9", 2), ("60,0,9,9", 4)]
)
def test_a_crop_that_is_none_or_not_inside_the_photo_is_refused(restore, photo, area, exit_code):
    assert restore(photo.name, "--crop", area).exit_code == exit_code
    assert list(restore.folder.iterdir()) == [photo]


def test_blur_that_is_meant_is_kept(restore, photo):
    # The network says 3 px everywhere.
    for radius, is_kept in ((2, True), (12, False)):
        words = ("--keep-bokeh", radius, "--on-exists", "overwrite")
        assert restore(photo.name, *words).exit_code == 0
        steps = change(photo, restore.folder / "photo_restored.png")
        assert steps.any() != is_kept


def test_what_is_in_focus_can_be_kept_to_the_pixel(restore, photo, tmp_path):
    small_networks.addition(restore.model, 0.1, radius_px=0.4)
    assert restore(photo.name, "--protect-sharp", 0.5).exit_code == 0
    assert not change(photo, restore.folder / "photo_restored.png").any()


@pytest.mark.parametrize("kind", ["side", "html"])
def test_before_and_after_stand_beside_the_output(restore, photo, kind):
    assert restore(photo.name, "--compare", kind).exit_code == 0
    (made,) = restore.folder.glob("photo_compare.*")
    assert made.suffix == {"side": ".png", "html": ".html"}[kind]
    assert not (restore.folder / "photo.npy").exists()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--map-format", "npy"), "photo_defocus.npy"),
        (("--map-format", "tiff"), "photo_defocus.tif"),
    ],
)
def test_a_map_is_named_after_its_format(restore, photo, words, name):
    assert restore(photo.name, "--map", *words).exit_code == 0
    assert (restore.folder / name).exists()


def test_a_map_format_without_a_map_and_a_map_named_without_the_sign_are_explained(restore, photo):
    assert "--map" in restore(photo.name, "--map-format", "npy").stderr
    told = restore(photo.name, "--map", "blur.png")
    assert told.exit_code == 4
    assert "--map=blur.png" in told.stderr


def test_events_are_one_json_object_a_line_and_nothing_else_is_said(restore, photo):
    told = restore(photo.name, "--json")
    assert (told.exit_code, told.stderr) == (0, "")
    events = [json.loads(line) for line in told.stdout.splitlines()]
    assert {event["schema"] for event in events} == {1}
    kinds = [event["event"] for event in events]
    assert (kinds[:2], kinds[-2:]) == (["start", "photo_start"], ["photo_done", "summary"])
    assert events[-2]["precision"] == "fp32"
    assert events[-1] | {"seconds": 0} == {
        "schema": 1,
        "event": "summary",
        "done": 1,
        "skipped": 0,
        "claimed": 0,
        "failed": 0,
        "left": 0,
        "megapixels": 0.003,
        "seconds": 0,
    }


def test_an_error_is_an_event_too(restore, photo):
    photo.write_bytes(b"nothing of use")
    told = restore(photo.name, "--json")
    last = json.loads(told.stdout.splitlines()[-1])
    assert told.exit_code == last["exit_code"] == 4
    assert (last["event"], last["error"]) == ("error", "InputError")
    assert told.stderr.startswith("error: ")


def test_that_a_lossy_photo_loses_again_is_said_once_for_all_photos(restore):
    for name in ("a", "b", "c", "d", "e"):
        (restore.folder / f"{name}.jpg").write_bytes(samples.jpeg(samples.scene()))
    told = restore("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "-o", "out")
    (note,) = [line for line in told.stderr.splitlines() if line.startswith("note:")]
    assert "5 photos (a.jpg, b.jpg, c.jpg, ...)" in note
    assert "note:" not in restore("a.jpg", "--format", "png").stderr


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("--max-megapixels", "0.001"), 4),
        (("--max-file-size", "1e-9"), 4),
        (("--max-megapixels", "0"), 2),
        (("--protect-sharp", "2"), 2),
        (("--keep-bokeh", "0"), 2),
        (("--json", "-o", "-"), 2),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_file(restore, photo, words, exit_code):
    assert restore(photo.name, *words).exit_code == exit_code
    assert list(restore.folder.iterdir()) == [photo]


def test_a_demand_that_cannot_be_met_ends_with_6_and_nothing_is_done(restore, photo):
    assert restore(photo.name, "--precision", "bf16").exit_code == 6
    assert list(restore.folder.iterdir()) == [photo]


def piped(folder: Path, content: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    demands = ["--engine", "onnxruntime", "--device", "cpu", "--threads", "1"]
    return subprocess.run(
        [sys.executable, "-m", "defocusfix", "restore", *words, *demands],
        input=content,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )


def test_a_photo_can_come_from_standard_input_and_go_to_standard_output(restore, photo):
    source = photo.read_bytes()
    model = ("--model", str(restore.model))
    to_stdout = piped(restore.folder, source, "-", *model)
    assert to_stdout.returncode == 0, to_stdout.stderr
    result = read_photo(to_stdout.stdout)
    assert result.pixels.shape == (48, 64, 3)
    to_file = piped(restore.folder, source, "-", "-o", "out.png", *model)
    assert to_file.returncode == 0, to_file.stderr
    assert np.array_equal(read_photo(restore.folder / "out.png").pixels, result.pixels)
    from_file = piped(restore.folder, b"", "photo.png", "-o", "-", "--map", *model)
    assert from_file.stdout == to_stdout.stdout
    assert (restore.folder / "photo_defocus.png").exists()
    assert not (restore.folder / "-").exists()


def test_nothing_on_standard_input_is_an_empty_photo(restore):
    told = piped(restore.folder, b"", "-", "--model", str(restore.model))
    assert told.returncode == 4
    assert b"standard input is empty" in told.stderr
