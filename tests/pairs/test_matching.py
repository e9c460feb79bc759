"""Pairing by time and by look."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from PIL import Image

from defocusfix.errors import InputError
from defocusfix.pairs.find import find_pairs
from tests.pairs.photographed import similarity, write_pair, write_set

START = datetime(2026, 5, 1, 12, 0, 0)


def write_at(path, seconds: float | None) -> None:
    """A photo that says when it was taken."""
    path.parent.mkdir(exist_ok=True)
    exif = Image.Exif()
    if seconds is not None:
        time = START + timedelta(seconds=seconds)
        exif.get_ifd(0x8769)[0x9003] = time.strftime("%Y:%m:%d %H:%M:%S")
        exif.get_ifd(0x8769)[0x9291] = f"{time.microsecond // 10000:02d}"
    Image.new("RGB", (16, 16)).save(path, exif=exif)


def paired(root, blurry: list[float | None], sharp: list[float | None], by: str = "time"):
    for folder, prefix, times in (("blurry", "b", blurry), ("sharp", "s", sharp)):
        for number, seconds in enumerate(times):
            write_at(root / folder / f"{prefix}{number}x.jpg", seconds)
    found = find_pairs(root / "blurry", root / "sharp", by)
    return found, {(p.blurred.name[1], p.all_in_focus.name[1]) for p in found.pairs}


def test_photos_taken_in_turns_are_paired_in_turns(tmp_path):
    # The sharp photo lies nearer to the blurry one of the next pair.
    _, pairs = paired(tmp_path, [0, 18, 36], [10, 28, 46])
    assert pairs == {("0", "0"), ("1", "1"), ("2", "2")}


def test_a_missing_photo_does_not_shift_the_others(tmp_path):
    found, pairs = paired(tmp_path, [0, 600, 1200], [5, 1205])
    assert pairs == {("0", "0"), ("2", "1")}
    assert [path.name for path in found.blurred_alone] == ["b1x.jpg"]


def test_photos_far_apart_in_time_or_without_one_have_no_partner(tmp_path):
    found, pairs = paired(tmp_path, [0, None, 5000], [4, 9000, None])
    assert pairs == {("0", "0")}
    assert len(found.blurred_alone) == len(found.sharp_alone) == 2
    assert found.by == "time"


def test_fractions_of_seconds_tell_a_burst_apart(tmp_path):
    _, pairs = paired(tmp_path, [0.0, 0.5], [0.1, 0.6])
    assert pairs == {("0", "0"), ("1", "1")}


def test_times_are_read_from_webp_too(tmp_path):
    for number, seconds in enumerate((0, 100)):
        write_at(tmp_path / "blurry" / f"b{number}x.webp", seconds)
        write_at(tmp_path / "sharp" / f"s{1 - number}x.jpg", seconds + 3)
    found = find_pairs(tmp_path / "blurry", tmp_path / "sharp", "time")
    assert {(p.blurred.name[1], p.all_in_focus.name[1]) for p in found.pairs} == {
        ("0", "1"),
        ("1", "0"),
    }


def test_times_are_tried_before_the_order_where_no_name_fits(tmp_path):
    found, pairs = paired(tmp_path, [0, 100], [103, 2], by="auto")
    assert found.by == "time"
    assert pairs == {("0", "1"), ("1", "0")}


def test_without_times_asking_for_them_is_refused(tmp_path):
    with pytest.raises(InputError, match="counterpart"):
        paired(tmp_path, [None], [None])


def test_photos_are_paired_by_what_they_show(tmp_path):
    write_set(tmp_path, 4, radius_px=5, matrix=similarity(2, 1.05, 20, -12))
    for number in range(4):
        path = tmp_path / "blurry" / f"{number:02d}.png"
        path.rename(path.with_name(f"shuffled{(number + 2) % 4}.png"))
    found = find_pairs(tmp_path / "blurry", tmp_path / "sharp", "similarity")
    pairs = {(p.blurred.stem[-1], p.all_in_focus.stem[-1]) for p in found.pairs}
    assert pairs == {("2", "0"), ("3", "1"), ("0", "2"), ("1", "3")}


def test_strangers_and_broken_files_are_not_paired_by_look(tmp_path):
    write_pair(tmp_path, "a.png", 0)
    write_pair(tmp_path, "b.png", 1)
    (tmp_path / "sharp" / "b.png").unlink()
    (tmp_path / "sharp" / "c.png").write_bytes(b"broken")
    found = find_pairs(tmp_path / "blurry", tmp_path / "sharp", "similarity")
    assert [pair.name for pair in found.pairs] == ["a"]
    (tmp_path / "sharp" / "a.png").unlink()
    with pytest.raises(InputError, match="counterpart"):
        find_pairs(tmp_path / "blurry", tmp_path / "sharp", "similarity")


def test_look_is_the_last_resort_where_nothing_else_fits(tmp_path):
    write_set(tmp_path, 2)
    (tmp_path / "sharp" / "00.png").rename(tmp_path / "sharp" / "x.png")
    (tmp_path / "sharp" / "01.png").rename(tmp_path / "sharp" / "w.png")
    write_pair(tmp_path, "more.png", 3)
    (tmp_path / "blurry" / "more.png").unlink()
    found = find_pairs(tmp_path / "blurry", tmp_path / "sharp")
    assert found.by == "similarity"
    assert {(p.blurred.stem, p.all_in_focus.stem) for p in found.pairs} == {
        ("00", "x"),
        ("01", "w"),
    }


def test_one_folder_twice_is_refused(tmp_path):
    write_set(tmp_path, 1)
    with pytest.raises(InputError, match="given twice"):
        find_pairs(tmp_path / "sharp", tmp_path / "blurry" / ".." / "sharp")
