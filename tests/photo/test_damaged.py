"""Damaged and hostile files give a photo or a refusal in words, nothing else, and leave nothing."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from defocusfix.errors import InputError
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.photo.write import write_photo
from tests.photo import sample_files as samples
from tests.photo.damaged_files import SOUND, damaged_files

DAMAGED = damaged_files()
MOST_BYTES = 40 * 2**20  # read of a photo of 9 kB, and what the libraries keep beside


@pytest.mark.parametrize("name", SOUND)
def test_the_sound_files_are_sound(name):
    assert read_photo(SOUND[name]).width == 64


def test_there_are_damaged_files_of_every_kind():
    assert len(DAMAGED) >= 60


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_in_words_or_can_be_written_again(name, tmp_path, capfd):
    path = tmp_path / name
    path.write_bytes(DAMAGED[name])
    photo, refusal, most = _read(path)
    assert most < MOST_BYTES
    expected = {path}
    if refusal is not None:
        assert refusal.what.startswith(name)
        assert refusal.why or refusal.fix
    else:
        for policy in ("keep", "minimal", "none"):
            assert photo.reduced(policy, keeps_gps=False)
        again = tmp_path / f"again_{name}"
        write_photo(photo.signed("defocusfix"), again)
        expected.add(again)
    assert path.read_bytes() == DAMAGED[name]
    assert set(tmp_path.iterdir()) == expected
    stdout, stderr = capfd.readouterr()
    assert stdout == ""
    assert "Traceback" not in stderr  # libpng and libtiff may say a line of their own


def _read(path: Path) -> tuple[Photo | None, InputError | None, int]:
    """The photo or why there is none, and the most bytes that Python held at once."""
    tracemalloc.start()
    try:
        return read_photo(path), None, tracemalloc.get_traced_memory()[1]
    except InputError as refusal:
        return None, refusal, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_whoever_fails_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("defocusfix.photo.write.encode_jpeg", fail)
    photo = read_photo(samples.jpeg(samples.scene()))
    with pytest.raises(MemoryError):
        write_photo(photo, tmp_path / "photo.jpg")
    assert list(tmp_path.iterdir()) == []
