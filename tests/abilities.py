"""What only some processors can do."""

from __future__ import annotations

import pytest

from defocusfix.engines.chip import has_exact_int8

needs_int8 = pytest.mark.skipif(
    not has_exact_int8(), reason="this processor is not known to sum 8-bit products exactly"
)
