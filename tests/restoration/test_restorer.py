from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.bundled import bundled_models_folder
from defocusfix.engines.select import open_engine
from defocusfix.errors import ModelError, UsageError
from defocusfix.optics import disc
from defocusfix.rendering.photos import dead_leaves
from defocusfix.restoration import Restorer, RestoreSettings, open_restorer
from defocusfix.restoration import restorer as restorer_module
from tests.restoration import small_networks
from tests.restoration.stand_in_engines import NumpyEngine


def _picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "net.onnx"
    small_networks.convolutions(path)
    return open_engine(path, engine="onnxruntime", device="cpu", threads=1)


class OtherHalo:
    """An engine that says it needs another halo."""

    def __init__(self, engine, halo):
        self.spec = dataclasses.replace(engine.spec, halo=halo)
        self.name, self.device, self.precision = engine.name, engine.device, engine.precision
        self.run = engine.run


def full_size(**settings):
    return RestoreSettings(scale=1, **settings)


@given(
    height=st.integers(1, 330),
    width=st.integers(1, 330),
    more=st.integers(0, 170),
    overlap=st.sampled_from([0, 16, 32]),
    halo=st.integers(small_networks.HALO, 48),
    seed=st.integers(0, 9),
)
def test_in_tiles_and_whole_agree_to_less_than_one_step(
    engine, height, width, more, overlap, halo, seed
):
    picture = _picture(height, width, seed)
    tile = 2 * (halo + 16 + overlap // 2) + 2 * overlap + 16 + more
    whole = Restorer(engine, full_size(tile=0))(picture)
    tiled = Restorer(OtherHalo(engine, halo), full_size(tile=tile, overlap=overlap))(picture)
    assert whole.image.shape == tiled.image.shape == picture.shape
    assert whole.n_tiles == engine.spec.levels
    assert np.abs(tiled.image - whole.image).max() < 1e-4  # 1/255 is 40 times as much
    assert np.abs(tiled.radius_px - whole.radius_px).max() < 1e-2


def test_a_halo_that_is_too_small_would_be_noticed(engine):
    picture = _picture(256, 256)
    whole = Restorer(engine, full_size(tile=0))(picture)
    tiled = Restorer(OtherHalo(engine, 0), full_size(tile=64, overlap=0))(picture)
    assert np.abs(tiled.image - whole.image).max() > 1 / 255


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 200),
    tile=st.integers(96, 200),
    seed=st.integers(0, 9),
)
def test_writing_over_the_input_gives_the_same_as_writing_beside_it(
    engine, height, width, tile, seed
):
    pixels = (_picture(height, width, seed) * 255).astype(np.uint8)
    restorer = Restorer(engine, full_size(tile=tile))
    before = pixels.copy()
    beside = restorer.restore_pixels(pixels).pixels
    assert np.array_equal(pixels, before)
    over = restorer.restore_pixels(pixels, in_place=True).pixels
    assert np.shares_memory(over, pixels)
    assert np.array_equal(over, beside)


def test_work_beside_the_network_changes_no_bit(engine, monkeypatch):
    def one_after_the_other(items, prepare, compute, finish):
        for item in items:
            finish(item, compute(item, prepare(item)))

    pixels = (_picture(500, 400) * 65535).astype(np.uint16)
    beside = Restorer(engine, full_size(tile=160)).restore_pixels(pixels)
    monkeypatch.setattr("defocusfix.restoration.level_run.overlapped", one_after_the_other)
    alone = Restorer(engine, full_size(tile=160)).restore_pixels(pixels)
    assert np.array_equal(beside.pixels, alone.pixels)
    assert np.array_equal(beside.radius_px, alone.radius_px)


@given(data=st.data(), height=st.integers(1, 300), width=st.integers(1, 300))
def test_an_area_comes_out_as_that_part_of_the_whole(engine, data, height, width):
    pixels = (_picture(height, width) * 65535).astype(np.uint16)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    across = data.draw(st.integers(1, width - x))
    down = data.draw(st.integers(1, height - y))
    restorer = Restorer(engine, full_size(tile=128))
    whole = restorer.restore_pixels(pixels)
    part = restorer.restore_pixels(pixels, area=(x, y, across, down))
    place = np.s_[y : y + down, x : x + across]
    assert part.pixels.shape == (down, across, 3)
    assert np.abs(part.image - whole.image[place]).max() < 1e-4
    assert np.abs(part.radius_px - whole.radius_px[place]).max() < 1e-2


def test_a_small_area_of_a_large_photo_is_quickly_done(engine):
    pixels = np.zeros((1000, 1000, 3), np.uint8)
    restorer = Restorer(engine, full_size(tile=128))
    whole = restorer.restore_pixels(pixels)
    part = restorer.restore_pixels(pixels, area=(500, 400, 60, 60))
    assert part.n_tiles < whole.n_tiles / 10


@pytest.mark.parametrize("area", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 36, 5, 5), (46, 0, 5, 5)])
def test_an_area_outside_the_photo_is_refused(engine, area):
    with pytest.raises(ValueError, match="not inside the photo of 50 x 40"):
        Restorer(engine).restore_pixels(np.zeros((40, 50, 3), np.uint8), area=area)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_stored_values_come_back_in_their_kind_and_close_to_the_float_result(
    engine, dtype, channels
):
    white = 1 if dtype is np.float32 else np.iinfo(dtype).max
    pixels = (_picture(90, 70)[:, :, :channels] * white).astype(dtype)
    restoration = Restorer(engine).restore_pixels(pixels)
    assert (restoration.pixels.dtype, restoration.pixels.shape) == (pixels.dtype, pixels.shape)
    image = (pixels / white).astype(np.float32)
    image = np.repeat(image, 3, axis=2) if channels == 1 else image
    expected = Restorer(engine)(image).image
    if channels == 1:
        change = (expected - image).mean(axis=2, keepdims=True)
        expected = np.repeat((image[:, :, :1] + change).clip(0, 1), 3, axis=2)
    # Half a stored step, and where the last bit of a float decides, a float16 of a smaller level.
    finest = 2**-11 * np.abs(expected - image).max()
    assert np.abs(restoration.image - expected).max() < 0.51 / min(white, 65535) + finest
    assert restoration.precision == "fp32"


def test_the_map_alone_is_that_of_half_size_enlarged(engine):
    picture = _picture(200, 170)
    at_half = Restorer(engine, RestoreSettings(scale=2))(picture)
    assert np.array_equal(Restorer(engine).defocus_map(picture).radius_px, at_half.radius_px)
    finest = Restorer(engine).defocus_map(picture, scale=1).radius_px
    assert np.array_equal(finest, Restorer(engine, full_size())(picture).radius_px)


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (3, 2), (64, 64), (65, 191)])
def test_any_size_comes_back_in_its_size(engine, size):
    picture = _picture(*size)
    restoration = Restorer(engine)(picture)
    assert restoration.image.shape == picture.shape
    assert restoration.image.dtype == np.float32
    assert restoration.radius_px.shape == size
    assert 0 <= restoration.image.min() <= restoration.image.max() <= 1


def test_coarser_levels_are_handed_down(tmp_path):
    pictures = []
    for levels in (1, 2, 3):
        small_networks.convolutions(tmp_path / f"{levels}.onnx", levels=levels)
        restorer = open_restorer(
            tmp_path / f"{levels}.onnx", engine="onnxruntime", device="cpu", threads=1
        )
        restoration = restorer(_picture(128, 128))
        assert restoration.n_tiles == levels
        pictures.append(restoration.image)
    assert np.abs(pictures[1] - pictures[2]).max() > 0.01


def test_a_network_that_changes_nothing_gives_back_the_very_picture(tmp_path):
    small_networks.addition(tmp_path / "net.onnx", 0.0)
    restorer = open_restorer(tmp_path / "net.onnx", engine="onnxruntime", device="cpu", threads=1)
    picture = _picture(300, 200)
    assert np.array_equal(restorer(picture).image, picture)


def test_strength_mixes_between_the_photo_and_the_full_restoration(engine):
    picture = _picture(70, 90)
    full = Restorer(engine)(picture).image
    half = Restorer(engine, RestoreSettings(strength=0.5))(picture).image
    none = Restorer(engine, RestoreSettings(strength=0))(picture).image
    assert np.array_equal(none, picture)
    assert np.abs(half - (picture + full) / 2).max() < 1e-6


def test_a_network_with_only_an_image_works_and_gives_no_map(tmp_path):
    small_networks.image_to_restored(tmp_path / "net.onnx")
    restorer = open_restorer(tmp_path / "net.onnx", engine="onnxruntime", device="cpu", threads=1)
    picture = _picture(40, 50)
    restoration = restorer(picture)
    assert np.allclose(restoration.image, 1 - picture)
    assert restoration.defocus_map is None
    assert restoration.radius_px is None
    with pytest.raises(UsageError, match="gives no defocus map"):
        restorer.defocus_map(picture)


@pytest.mark.parametrize("wish", [{"protect_sharp": 0.5}, {"keep_bokeh_px": 8}], ids=str)
def test_wishes_that_need_a_map_are_refused_for_a_network_that_gives_none(tmp_path, wish):
    small_networks.image_to_restored(tmp_path / "net.onnx")
    engine = open_engine(tmp_path / "net.onnx", engine="onnxruntime", device="cpu", threads=1)
    with pytest.raises(UsageError, match="need a model that gives a defocus map"):
        Restorer(engine, RestoreSettings(**wish))


def test_the_value_range_of_the_network_is_respected(tmp_path):
    # In a network that wants 0 to 255, adding 51 is a fifth of the range.
    small_networks.addition(tmp_path / "net.onnx", 51, value_range=(0.0, 255.0))
    restorer = open_restorer(tmp_path / "net.onnx", engine="onnxruntime", device="cpu", threads=1)
    picture = np.full((16, 16, 3), 0.5, np.float32)
    assert np.allclose(restorer(picture).image, 0.7, atol=1e-6)


def test_the_report_adds_up_to_the_whole_work(engine):
    shares: list[float] = []
    Restorer(engine, full_size(tile=96))(_picture(200, 150), report=shares.append)
    assert len(shares) > engine.spec.levels
    assert sum(shares) == pytest.approx(1)


def test_values_that_are_not_numbers_are_an_error(tmp_path):
    small_networks.division_by_zero(tmp_path / "net.onnx")
    restorer = open_restorer(tmp_path / "net.onnx", engine="onnxruntime", device="cpu", threads=1)
    with pytest.raises(ModelError, match="not numbers"):
        restorer(np.zeros((16, 16, 3), np.float32))


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((0, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.float64),
        np.full((4, 4, 3), 1.5, np.float32),
        np.full((4, 4, 3), np.nan, np.float32),
    ],
    ids=["gray", "empty", "double", "too bright", "not a number"],
)
def test_arrays_of_another_kind_are_refused(engine, picture):
    with pytest.raises(ValueError, match="image must"):
        Restorer(engine)(picture)


def test_a_tile_without_room_for_the_halo_is_refused_with_the_least_that_works(engine):
    with pytest.raises(UsageError, match="at least 80 px"):
        Restorer(engine, RestoreSettings(tile=64))


@pytest.mark.parametrize(
    "setting",
    [
        {"strength": 1.1},
        {"protect_sharp": -0.1},
        {"keep_bokeh_px": 0},
        {"scale": 3},
        {"tile": -1},
        {"overlap": 3},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(UsageError):
        RestoreSettings(**setting)


def test_a_model_is_named_by_file_folder_or_bundled_name(tmp_path, monkeypatch):
    monkeypatch.setattr(restorer_module, "bundled_models_folder", lambda: tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    small_networks.image_to_restored(folder / "model.onnx", name="mine")
    for model in (folder, folder / "model.onnx", str(folder), "mine"):
        assert (
            open_restorer(model, engine="onnxruntime", device="cpu", threads=1).spec.name == "mine"
        )
    with pytest.raises(ModelError, match="no weights called 'nothing'"):
        open_restorer("nothing")
    with pytest.raises(ModelError, match="no model file"):
        open_restorer(tmp_path / "nothing.onnx")


def textured_picture():
    return (dead_leaves(np.random.default_rng(0), 192) / np.float32(255)).astype(np.float32)


def squared_error(image, truth):
    return float(((image - truth) ** 2).mean())


def test_the_bundled_weights_ship_and_bring_a_blurred_picture_closer_to_the_truth():
    assert (bundled_models_folder() / "focusnet-s" / "model.onnx").is_file()
    sharp = textured_picture()
    blurred = cv2.filter2D(sharp, -1, disc(3.0), borderType=cv2.BORDER_REFLECT).clip(0, 1)
    restoration = open_restorer(engine="onnxruntime", device="cpu", threads=1)(blurred)
    assert restoration.model == "focusnet-s"
    assert restoration.radius_px.shape == sharp.shape[:2]
    assert 2 < np.median(restoration.radius_px) < 4.5  # the disc's radius is 3
    assert squared_error(restoration.image, sharp) < 0.95 * squared_error(blurred, sharp)


def test_the_bundled_weights_leave_a_sharp_picture_alone():
    sharp = textured_picture()
    restoration = open_restorer(engine="onnxruntime", device="cpu", threads=1)(sharp)
    assert np.median(restoration.radius_px) < 0.25
    assert squared_error(restoration.image, sharp) < 10**-4.5  # kept by 45 dB


def test_mirrored_takes_the_mean_of_four_views_of_every_tile():
    def leaning(image, coarse):
        return image + np.linspace(-0.1, 0.1, image.shape[3]), np.array(2.0)

    picture = np.full((48, 64, 3), 0.5, np.float32)
    once, mirrored = (NumpyEngine(leaning, levels=1) for _ in range(2))
    leans = Restorer(once)(picture).image
    evened = Restorer(mirrored, RestoreSettings(mirrored=True))(picture).image
    assert leans[:, 0].mean() < 0.45 < 0.55 < leans[:, -1].mean()
    np.testing.assert_allclose(evened, picture, atol=1e-6)
    assert len(mirrored.windows) == 4 * len(once.windows)


@pytest.mark.parametrize(
    ("precision", "dtype", "computed"),
    [
        ("auto", np.uint8, "bf16"),
        ("auto", np.uint16, "fp32"),
        ("auto", np.float32, "fp32"),
        ("bf16", np.uint16, "bf16"),
    ],
)
def test_more_than_8_bits_are_computed_in_fp32_unless_less_is_demanded(
    monkeypatch, precision, dtype, computed
):
    def stand_in(path, *, precision, output_bits, **others):
        found = "bf16" if precision == "auto" and output_bits == 8 else precision
        return NumpyEngine(lambda image, coarse: (image, np.array(1.0)), precision=found)

    monkeypatch.setattr("defocusfix.restoration.restorer.open_engine", stand_in)
    restorer = Restorer("auto", precision=precision)
    pixels = np.ones((16, 16, 3), dtype)
    assert restorer.restore_pixels(pixels).precision == computed
    assert restorer.restore_pixels(np.ones((16, 16, 3), np.uint8)).precision == "bf16"
