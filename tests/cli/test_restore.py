from __future__ import annotations

import os

import numpy as np
import pytest

from defocusfix.photo.read import read_photo
from tests.photo import sample_files as samples
from tests.restoration import small_networks


def _files(folder) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_photo_is_restored_beside_itself_and_one_line_says_how(restore):
    source = samples.tiff(samples.scene(bits=16))
    (restore.folder / "photo.tif").write_bytes(source)
    told = restore("photo.tif")
    assert (told.exit_code, told.stdout) == (0, "")
    assert _files(restore.folder) == ["photo.tif", "photo_restored.tif"]
    assert (restore.folder / "photo.tif").read_bytes() == source
    (line,) = told.stderr.splitlines()
    facts = ("photo_restored.tif", "64 x 48", "16-bit", "brighten", "onnxruntime", "cpu", "fp32")
    for fact in (*facts, "MP/s", " s,"):
        assert fact in line

    before = read_photo(restore.folder / "photo.tif").pixels.astype(int)
    after = read_photo(restore.folder / "photo_restored.tif").pixels
    expected = np.clip(before + 6553.5, 0, 65535)
    assert np.abs(after - expected).max() <= 1


def test_strength_0_gives_back_the_same_pixels(restore):
    (restore.folder / "photo.png").write_bytes(samples.png(samples.scene(channels=4)))
    assert restore("photo.png", "--strength", 0).exit_code == 0
    before, after = (
        read_photo(restore.folder / name) for name in ("photo.png", "photo_restored.png")
    )
    assert np.array_equal(before.pixels, after.pixels)
    assert np.array_equal(before.alpha, after.alpha)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("photo.jpg", samples.jpeg(samples.scene(), exif=samples.exif(orientation=6))),
        ("gray.jpeg", samples.jpeg(samples.scene(channels=1))),
        ("photo.webp", samples.webp(samples.scene())),
        ("für 写真 1.png", samples.png(samples.scene())),
        ("PHOTO.TIF", samples.tiff(samples.scene(channels=1, bits=16))),
    ],
)
def test_every_format_comes_back_brighter_in_its_own_format(restore, name, file):
    (restore.folder / name).write_bytes(file)
    assert restore(name).exit_code == 0
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    before = read_photo(restore.folder / name)
    after = read_photo(restore.folder / f"{stem}_restored{suffix}")
    assert after.format == before.format
    assert after.pixels.shape == before.pixels.shape
    middle = before.pixels < 0.8 * before.largest_value
    change = (after.pixels.astype(int) - before.pixels)[middle] / before.largest_value
    assert change.mean() == pytest.approx(0.1, abs=0.01)


def test_the_map_has_1024_codes_for_each_pixel_of_blur_radius(restore):
    (restore.folder / "photo.jpg").write_bytes(samples.jpeg(samples.scene()))
    assert restore("photo.jpg", "--map").exit_code == 0
    picture = read_photo(restore.folder / "photo_defocus.png")
    assert (picture.bits, picture.pixels.shape) == (16, (48, 64, 1))
    assert np.unique(picture.pixels).tolist() == [3 * 1024]
    assert restore("photo.jpg", "-o", "x.jpg", "--map=blur.npy").exit_code == 0
    assert np.load(restore.folder / "blur.npy")[5, 7] == 3


def test_a_map_of_a_network_that_has_none_is_refused_before_work(defocusfix, tmp_path):
    small_networks.image_to_restored(tmp_path / "net.onnx")
    (tmp_path / "photo.jpg").write_bytes(samples.jpeg(samples.scene()))
    told = defocusfix("restore", tmp_path / "photo.jpg", "--map", "--model", tmp_path / "net.onnx")
    assert told.exit_code == 2
    assert "gives no defocus map" in told.stderr
    assert _files(tmp_path) == ["net.onnx", "photo.jpg"]


def test_nothing_is_overwritten_unasked(restore):
    (restore.folder / "photo.png").write_bytes(samples.png(samples.scene()))
    (restore.folder / "photo_restored.png").write_bytes(b"precious")
    told = restore("photo.png")
    assert told.exit_code == 9
    assert "exists already" in told.stderr
    assert (restore.folder / "photo_restored.png").read_bytes() == b"precious"
    assert restore("photo.png", "--on-exists", "skip").exit_code == 0
    assert (restore.folder / "photo_restored.png").read_bytes() == b"precious"
    assert restore("photo.png", "--on-exists", "rename").exit_code == 0
    assert (restore.folder / "photo_restored-2.png").exists()
    assert restore("photo.png", "--on-exists", "overwrite").exit_code == 0
    assert (restore.folder / "photo_restored.png").read_bytes() != b"precious"


def test_one_broken_photo_of_three_leaves_the_others_done(restore):
    for name in ("a.jpg", "c.jpg"):
        (restore.folder / name).write_bytes(samples.jpeg(samples.scene()))
    (restore.folder / "b.jpg").write_bytes(samples.jpeg(samples.scene())[:500])
    told = restore("a.jpg", "b.jpg", "c.jpg", "-o", "out")
    assert told.exit_code == 3
    assert _files(restore.folder / "out") == ["a_restored.jpg", "c_restored.jpg"]
    assert "1 of 3 photos could not be restored" in told.stderr
    assert "b.jpg cannot be read" in told.stderr


def test_if_none_can_be_restored_the_exit_code_says_why(restore):
    (restore.folder / "a.jpg").write_bytes(b"nothing of use")
    assert restore("a.jpg").exit_code == 4
    told = restore("a.jpg", "missing.jpg")
    assert told.exit_code == 4
    assert "none of the 2 photos" in told.stderr
    assert _files(restore.folder) == ["a.jpg"]


def test_an_output_in_another_format_is_refused(restore):
    (restore.folder / "photo.jpg").write_bytes(samples.jpeg(samples.scene()))
    told = restore("photo.jpg", "-o", "photo.png")
    assert told.exit_code == 9
    assert "--format png" in told.stderr
    assert _files(restore.folder) == ["photo.jpg"]


def test_a_folder_that_cannot_be_written_to_is_named(restore):
    (restore.folder / "photo.jpg").write_bytes(samples.jpeg(samples.scene()))
    (restore.folder / "file").write_bytes(b"")
    told = restore("photo.jpg", "-o", "file/photo.jpg")
    assert told.exit_code == 9


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("--strength", "1.5"), 2),
        (("--tile", "8"), 2),
        (("--model", "missing.onnx"), 5),
        (("--device", "tpu"), 2),
    ],
)
def test_mistakes_have_their_exit_code_and_leave_no_file(
    defocusfix, tmp_path, monkeypatch, words, exit_code
):
    monkeypatch.chdir(tmp_path)
    small_networks.convolutions(tmp_path / "net.onnx")
    (tmp_path / "photo.jpg").write_bytes(samples.jpeg(samples.scene()))
    told = defocusfix("restore", "photo.jpg", "--model", "net.onnx", *words)
    assert told.exit_code == exit_code
    assert _files(tmp_path) == ["net.onnx", "photo.jpg"]


def test_the_bundled_weights_restore_a_photo_without_any_option(defocusfix, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(samples.jpeg(samples.scene()))
    told = defocusfix("restore", tmp_path / "photo.jpg", "--map")
    assert told.exit_code == 0
    assert "focusnet-s" in told.stderr
    assert _files(tmp_path) == ["photo.jpg", "photo_defocus.png", "photo_restored.jpg"]
