from __future__ import annotations

import numpy as np
import pytest

from defocusfix.engines.lpips import open_lpips
from defocusfix.errors import ModelError
from tests.engines import image_distances


def test_images_reach_the_graph_in_the_range_from_minus_1_to_1(tmp_path):
    image_distances.mean_square(tmp_path / "lpips.onnx")
    distance = open_lpips(tmp_path / "lpips.onnx", threads=1)
    first, second = np.random.default_rng(0).random((2, 20, 31, 3), dtype=np.float32)
    assert distance(first, second) == pytest.approx(4 * np.mean((first - second) ** 2), rel=1e-5)
    assert distance(first, first) == 0


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (image_distances.brightness, "it has 1 inputs and 1 outputs"),
        (image_distances.difference, "size"),
        (image_distances.product, "equal images are"),
        (image_distances.first_with_itself, "different ones 0"),
    ],
)
def test_a_graph_that_measures_no_distance_is_refused(tmp_path, graph, why):
    graph(tmp_path / "lpips.onnx")
    with pytest.raises(ModelError, match="is no distance between two images") as refusal:
        open_lpips(tmp_path / "lpips.onnx", threads=1)
    assert why in refusal.value.why
    assert "two images (B, 3, H, W)" in refusal.value.fix


@pytest.mark.parametrize("size", [("B", 1, "H", "W"), ("B", 3, 48, 48)], ids=["grey", "one size"])
def test_a_graph_for_other_images_than_photos_of_any_size_is_refused(tmp_path, size):
    image_distances.mean_square(tmp_path / "lpips.onnx", size=size)
    with pytest.raises(ModelError, match="is no distance between two images"):
        open_lpips(tmp_path / "lpips.onnx", threads=1)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    with pytest.raises(ModelError, match="there is no file"):
        open_lpips(tmp_path / "lpips.onnx")
    (tmp_path / "lpips.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="cannot be loaded") as refusal:
        open_lpips(tmp_path / "lpips.onnx")
    assert "two images (B, 3, H, W)" in refusal.value.fix
