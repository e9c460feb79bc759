"""Root may write anywhere; a test of what cannot be written needs a process that may not."""

from __future__ import annotations

import os
import shutil

import pytest


def without_roots_rights() -> tuple[str, ...]:
    """What to put before a command on Linux so that file permissions hold for it; skips the test
    where that cannot be had."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and there is no setpriv to change that")
    return ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")
