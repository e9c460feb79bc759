"""Bundled weights and the other forms of them that lie beside the main file."""

from __future__ import annotations

import hashlib

import pytest

from defocusfix.catalogue.sources import BundledFile
from defocusfix.catalogue.verify import flaws_beside
from tests.catalogue.conftest import WEIGHTS, an_entry

SMALL = b"in 8 bits"


@pytest.fixture
def entry():
    beside = (("net.int8.bin", hashlib.sha256(SMALL).hexdigest()),)
    return an_entry(BundledFile("net/net.bin"), beside=beside)


def test_other_forms_are_compared_with_their_sums(entry, tmp_path):
    main = tmp_path / "net.bin"
    main.write_bytes(WEIGHTS)
    (missing,) = flaws_beside(entry, main)
    assert "net.int8.bin" in missing.what
    assert "it is missing" in missing.why
    (tmp_path / "net.int8.bin").write_bytes(SMALL)
    assert list(flaws_beside(entry, main)) == []
    (tmp_path / "net.int8.bin").write_bytes(SMALL[::-1])
    (changed,) = flaws_beside(entry, main)
    assert hashlib.sha256(SMALL[::-1]).hexdigest() in changed.why
    assert "force-reinstall" in changed.fix


def test_weights_of_which_there_is_one_form_have_nothing_beside_them(tmp_path):
    assert list(flaws_beside(an_entry(), tmp_path / "net.bin")) == []
