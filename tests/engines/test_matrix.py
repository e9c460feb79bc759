"""The graphs by which a machine's speed is measured multiply what they say."""

from __future__ import annotations

import numpy as np

from defocusfix.engines.matrix import product_graph, whole_graph
from defocusfix.engines.onnxruntime import load_session


def test_products_of_floats_follow_each_other():
    left, right = np.random.default_rng(0).standard_normal((2, 16, 16), dtype=np.float32)
    (found,) = load_session(product_graph(right, 3)).run(None, {"left": left})
    np.testing.assert_allclose(found, left @ right @ right @ right, rtol=1e-4, atol=1e-4)


def test_a_product_of_eight_bits_is_exact():
    rng = np.random.default_rng(0)
    left = rng.integers(0, 128, (16, 16), np.uint8)  # no pair of products leaves 16 bits
    right = rng.integers(-127, 128, (16, 16), np.int8)
    (found,) = load_session(whole_graph(right)).run(None, {"left": left})
    assert (found == left.astype(np.int32) @ right.astype(np.int32)).all()
