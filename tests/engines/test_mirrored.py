from __future__ import annotations

import numpy as np
import pytest

from defocusfix.engines.mirrored import MirroredEngine
from defocusfix.network_spec import NetworkSpec
from tests.restoration.stand_in_engines import NumpyEngine, brighter

RNG = np.random.default_rng(3)


def picture(channels: int, side: int) -> np.ndarray:
    return RNG.random((1, channels, side, side + 16), np.float32)


def test_an_engine_that_treats_all_sides_alike_is_not_changed():
    inputs = {"image": picture(3, 32), "coarse": picture(4, 16)}
    once, four_times = brighter(), MirroredEngine(brighter())
    for name, output in once.run(inputs).items():
        np.testing.assert_allclose(four_times.run(inputs)[name], output, atol=1e-6)


def test_what_leans_to_one_side_is_evened_out():
    def leaning(image, coarse):
        slope = np.linspace(-1, 1, image.shape[3]) + np.linspace(-2, 2, image.shape[2])[:, None]
        return image + slope, np.array(2.0)

    image = picture(3, 32)
    restored = MirroredEngine(NumpyEngine(leaning, levels=1)).run({"image": image})["restored"]
    np.testing.assert_allclose(restored, image, atol=1e-6)


def test_every_input_is_mirrored_alike_and_none_is_written_to():
    def from_coarse(image, coarse):
        return image - np.repeat(np.repeat(coarse[:, :3], 2, axis=2), 2, axis=3), coarse[
            :, 3:
        ].max()

    image = picture(3, 32)
    coarse = np.concatenate([image[:, :, ::2, ::2], np.full((1, 1, 16, 24), 3, np.float32)], axis=1)
    image[:] = np.repeat(np.repeat(coarse[:, :3], 2, axis=2), 2, axis=3)
    before = image.copy()
    found = MirroredEngine(NumpyEngine(from_coarse)).run({"image": image, "coarse": coarse})
    assert np.abs(found["restored"]).max() == pytest.approx(0, abs=1e-6)
    assert found["radius_px"] == pytest.approx(3)
    np.testing.assert_array_equal(image, before)


def test_it_says_of_itself_what_its_engine_says():
    engine = brighter()
    mirrored = MirroredEngine(engine)
    assert (mirrored.spec, mirrored.name, mirrored.device, mirrored.precision) == (
        engine.spec, engine.name, engine.device, engine.precision,
    )  # fmt: skip


def test_views_are_turned_by_half_and_exchanged_so_that_before_the_focus_stays_before_it():
    seen = []

    class Recorder:
        """Keeps what it is given, and gives back the image."""

        spec = NetworkSpec(
            name="views", architecture="test", size_multiple=8, halo=0, levels=1,
            outputs=("restored",), views=("right", "left"),
        )  # fmt: skip
        name, device, precision = "recorder", "cpu", "fp32"

        def run(self, inputs):
            seen.append(inputs)
            return {"restored": inputs["image"]}

    image, left, right = (picture(3, 16) for _ in range(3))
    inputs = {"image": image, "right": right, "left": left}
    found = MirroredEngine(Recorder()).run(inputs)
    np.testing.assert_allclose(found["restored"], image, atol=1e-6)
    plain, turned = seen
    assert all(np.array_equal(plain[name], inputs[name]) for name in inputs)
    assert np.array_equal(turned["image"], image[:, :, ::-1, ::-1])
    assert np.array_equal(turned["left"], right[:, :, ::-1, ::-1])
    assert np.array_equal(turned["right"], left[:, :, ::-1, ::-1])
