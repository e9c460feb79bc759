"""`defocusfix.restore` and `defocusfix.Restorer`, as Python programs use them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import defocusfix
from defocusfix.photo.read import read_photo
from tests.restoration import small_networks

SIZE = (40, 50)


@pytest.fixture
def model(tmp_path):
    """A network that makes everything 0.2 brighter."""
    path = tmp_path / "net.onnx"
    small_networks.addition(path, 0.2)
    return path


@pytest.fixture
def restore(model):
    def restored(picture, **wishes):
        return defocusfix.restore(
            picture, model=model, engine="onnxruntime", device="cpu", **wishes
        )

    return restored


@pytest.mark.parametrize("shape", [SIZE, (*SIZE, 1), (*SIZE, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_array_comes_back_as_it_was_given(restore, shape, dtype):
    white = 1 if dtype is np.float32 else np.iinfo(dtype).max
    array = (np.full(shape, 0.5) * white).astype(dtype)
    before = array.copy()
    restored = restore(array)
    assert (restored.shape, restored.dtype) == (array.shape, array.dtype)
    assert np.allclose(restored / white, 0.7, atol=0.003)
    assert np.array_equal(array, before)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_stays_as_it_is(restore, channels):
    array = np.random.default_rng(0).integers(0, 200, (*SIZE, channels)).astype(np.uint8)
    restored = restore(array)
    assert np.array_equal(restored[:, :, -1], array[:, :, -1])
    assert (restored[:, :, :-1] == array[:, :, :-1] + 51).all()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_a_pillow_image_comes_back_with_its_mode_and_metadata(restore, mode):
    image = Image.new(mode, SIZE, 0)
    image.info["icc_profile"] = b"some profile"
    restored = restore(image)
    assert (restored.mode, restored.size) == (mode, SIZE)
    assert restored.info == image.info
    assert np.asarray(restored).max() == round(0.2 * (65535 if mode == "I;16" else 255))


@pytest.mark.parametrize("mode", ["P", "CMYK", "1", "HSV"])
def test_pillow_images_of_other_modes_are_refused_with_what_to_do(restore, mode):
    with pytest.raises(ValueError, match=f"mode {mode} .* convert it to RGB"):
        restore(Image.new(mode, SIZE))


def test_the_path_of_a_photo_gives_the_photo_with_its_metadata(restore, tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", SIZE, (100, 50, 0)).save(path, icc_profile=b"some profile")
    for restored in (restore(path), restore(str(path)), restore(read_photo(path))):
        assert restored.pixels[0, 0].tolist() == [151, 101, 51]
        assert restored.icc_profile == read_photo(path).icc_profile


def test_a_file_that_is_no_photo_is_an_input_error(restore, tmp_path):
    with pytest.raises(defocusfix.errors.InputError):
        restore(tmp_path / "nothing.jpg")


@pytest.mark.parametrize("shape", [(4,), (4, 4, 5), (0, 4, 3), (1, 4, 4, 3)])
def test_arrays_of_other_shapes_are_refused(restore, shape):
    with pytest.raises(ValueError, match="must be"):
        restore(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", [np.float64, np.int32, bool])
def test_arrays_of_other_kinds_are_refused(restore, dtype):
    with pytest.raises(ValueError, match="must be uint8, uint16 or float32"):
        restore(np.zeros((4, 4, 3), dtype))


@pytest.mark.parametrize(
    "mask",
    [
        np.arange(50) < np.full((40, 1), 25),
        (np.arange(50) < np.full((40, 1), 25)) * np.uint8(255),
        (np.arange(50) < np.full((40, 1), 25)) * 1.0,
        Image.fromarray((np.arange(50) < np.full((40, 1), 25)) * np.uint8(255)),
    ],
    ids=["bool", "bytes", "float", "pillow"],
)
def test_a_mask_may_be_of_any_usual_kind(restore, mask):
    restored = restore(np.zeros((*SIZE, 3), np.uint8), mask=mask)
    assert (restored[:, 25:] == 0).all()
    assert (restored[:, :15] == 51).all()


def test_a_restorer_is_made_by_names_and_kept_for_many_pictures(model):
    restorer = defocusfix.Restorer(
        engine="onnxruntime",
        model=model,
        device="cpu",
        settings=defocusfix.RestoreSettings(strength=0.5),
    )
    for dtype in (np.uint8, np.float32):
        assert restorer.restore(np.zeros((4, 4), dtype)).max() == pytest.approx(
            26 if dtype is np.uint8 else 0.1
        )
    Image.new("L", SIZE, 0).save(model.with_name("photo.png"))
    assert restorer.restore(model.with_name("photo.png")).pixels.max() == 26
    restoration = restorer.restore_pixels(np.zeros((4, 4, 3), np.uint8))
    assert isinstance(restoration.defocus_map, defocusfix.DefocusMap)
    assert (restoration.defocus_map.radius_px == 3).all()
