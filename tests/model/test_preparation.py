"""From pixels to the network's input."""

from typing import Literal

import cv2
import numpy as np
import pytest

from inspectd.model.backbones import KERAS, SCALES
from inspectd.model.preparation import normalise, prepare
from inspectd.model.spec import Preparation, Preprocess


def test_leaves_an_image_of_the_right_size_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    image.setflags(write=False)
    assert np.array_equal(prepare(image, Preparation(60, 40)), image)


def test_shrinks_by_averaging_so_that_a_thin_line_stays() -> None:
    image = np.zeros((512, 512, 3), np.uint8)
    image[:, 101] = 255
    small = prepare(image, Preparation(128, 128))
    assert small.shape == (128, 128, 3)
    assert (small[:, 25] == 64).all()
    assert small.sum(dtype=np.int64) == small[:, 25].sum(dtype=np.int64)


def test_enlarges() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = 200
    large = prepare(image, Preparation(64, 32))
    assert large.shape == (32, 64, 3)
    assert (large[:, 0] == 0).all()
    assert (large[:, -1] == 200).all()


def test_makes_grey_by_the_weights_of_sight() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[..., 0] = 255  # red
    grey = prepare(image, Preparation(32, 32, 1))
    assert grey.shape == (32, 32, 1)
    assert np.unique(grey).tolist() == [76]


@pytest.mark.parametrize(
    ("to", "wanted"),
    [
        (Preparation(32, 32), [0.0, 0.2, 1.0]),
        (Preparation(32, 32, 3, "backbone", "compact"), [-1.0, -0.6, 1.0]),
        (Preparation(32, 32, 3, "backbone", "vgg16"), [255 - 103.939, 51 - 116.779, 0 - 123.68]),
    ],
)
def test_brings_pixels_to_scale(to: Preparation, wanted: list[float]) -> None:
    pixels = np.array([0.0, 51.0, 255.0], np.float32).reshape(1, 1, 1, 3)
    found = normalise(pixels, to)
    assert found.dtype == np.float32
    assert found.ravel() == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(
    ("backbone", "module"),
    [
        ("vgg16", "vgg16"),
        ("resnet50", "resnet"),
        ("mobilenetv2", "mobilenet_v2"),
        ("densenet121", "densenet"),
        ("efficientnetb0", "efficientnet"),
        ("convnexttiny", "convnext"),
    ],
)
def test_pixels_are_scaled_as_keras_does_for_each_backbone(backbone: str, module: str) -> None:
    from inspectd.model.engine.backend import keras

    pixels = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)
    to = Preparation(8, 8, 3, "backbone", backbone)
    wanted = getattr(keras.applications, module).preprocess_input(pixels.copy())
    assert np.allclose(normalise(pixels, to), wanted, atol=1e-4)


def test_every_model_of_keras_applications_is_a_backbone() -> None:
    from inspectd.model.engine.backend import keras

    models = {name for name in dir(keras.applications) if name[0].isupper()}
    assert models == set(KERAS.values())
    assert set(SCALES) == {*KERAS, "compact"}


@pytest.mark.parametrize(
    ("preprocess", "backbone", "sentence"),
    [
        ("backbone", "mobilenet2", "there is no backbone 'mobilenet2'; perhaps mobilenetv2 is meant"),
        ("backbone", "zzz", "there is no backbone 'zzz'; known are compact, convnextbase, "),
        ("backbone", None, "needs `backbone` to say which"),
        ("scale", "efficientnetb0", "`preprocess: scale` does not fit efficientnetb0, which scales pixels itself"),
    ],
)
def test_what_contradicts_itself_is_said(preprocess: Preprocess, backbone: str | None, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Preparation(32, 32, 3, preprocess, backbone)


def test_means_of_colours_are_not_for_grey() -> None:
    with pytest.raises(ValueError, match=r"of vgg16 is for RGB and needs `channels: 3`"):
        Preparation(32, 32, 1, "backbone", "vgg16")
    assert normalise(np.full((1, 8, 8, 1), 255, np.float32), Preparation(8, 8, 1, "backbone", "mobilenetv2")).max() == 1


def test_a_network_that_scales_pixels_itself_gets_them_as_they_are() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)
    assert np.array_equal(normalise(pixels, Preparation(8, 8, 3, "none", "vgg16")), pixels)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("size", [(512, 512), (300, 448), (7, 900), (1, 1), (225, 223), (64, 48)])
def test_a_grey_image_gives_to_the_bit_what_it_gives_as_rgb(size: tuple[int, int], channels: Literal[1, 3]) -> None:
    grey = np.random.default_rng(sum(size)).integers(0, 256, size, np.uint8)
    for side in (224, 64, 300):
        to = Preparation(width=side, height=side - 1, channels=channels)
        assert np.array_equal(prepare(grey, to), prepare(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), to))
