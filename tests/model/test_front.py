"""What a network does to pixels before its first weights, and which preparations that leaves."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from inspectd.model.engine.backend import keras
from inspectd.model.foreign.front import Front
from inspectd.model.spec import Preparation

layers, ops, applications = keras.layers, keras.ops, keras.applications

SCALE = Preparation(32, 32)
NONE = Preparation(32, 32, preprocess="none")
TF = Preparation(32, 32, preprocess="backbone", backbone="mobilenetv2")
OWN = Preparation(32, 32, preprocess="backbone", backbone="efficientnetb0")


def front(before: Callable[[Any], Any]) -> Front:
    """Of a network that does this before its first convolution, with a border of zeros."""
    pixels = keras.Input((32, 32, 3))
    maps = layers.Conv2D(2, 3, name="first")(layers.ZeroPadding2D(4)(before(pixels)))
    return Front(keras.Model(pixels, layers.Dense(1)(layers.GlobalAveragePooling2D()(maps))), SCALE)


def normalised(mean: float, variance: float) -> Any:
    """A batch normalisation that has seen such pixels."""
    layer = layers.BatchNormalization()
    layer.build((None, 32, 32, 3))
    layer.set_weights([np.ones(3), np.zeros(3), np.full(3, mean), np.full(3, variance)])
    return layer


def nested(*parts: Any) -> Any:
    return keras.Sequential([keras.Input((32, 32, 3)), layers.RandomFlip(), keras.Sequential(parts)])


FROM_255 = {
    "division": lambda pixels: pixels / 127.5 - 1.0,
    "tf": applications.mobilenet_v2.preprocess_input,
    "torch": applications.densenet.preprocess_input,
    "caffe": applications.vgg16.preprocess_input,
    "cut off": lambda pixels: ops.clip(ops.cast(pixels, "float16") / 255.0, 0, 1),
    "turned around": lambda pixels: 255.0 - pixels,
    "rescaling": nested(layers.Rescaling(1 / 255)),
    "normalization": nested(layers.Normalization(mean=[120.0] * 3, variance=[3600.0] * 3)),
    "resized": nested(layers.Resizing(16, 16), layers.Rescaling(1 / 127.5, offset=-1)),
    "batch normalisation": normalised(110, 3600),
}
FROM_1 = {
    "stretched": lambda pixels: pixels * 2.0 - 1.0,
    "torch": nested(layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.0524, 0.0502, 0.0506])),
    "to 255": lambda pixels: applications.vgg16.preprocess_input(pixels * 255.0),
    "cut off": lambda pixels: ops.clip(pixels, 0, 1),
}
FROM_ANY = {
    "as they are": nested(layers.RandomRotation(0.1)),
    "blue, green, red": lambda pixels: pixels[..., ::-1],
    "a fresh batch normalisation": layers.BatchNormalization(),
    "each image by itself": lambda pixels: (
        (pixels - ops.mean(pixels, axis=(1, 2, 3), keepdims=True))
        / (ops.std(pixels, axis=(1, 2, 3), keepdims=True) + 1e-6)
    ),
}


@pytest.mark.parametrize("before", FROM_255.values(), ids=FROM_255)
def test_a_network_that_takes_0_to_255(before: Callable[[Any], Any]) -> None:
    found = front(before)
    assert [found.can_be(each) for each in (NONE, OWN, SCALE, TF)] == [True, True, False, False]


@pytest.mark.parametrize("before", FROM_1.values(), ids=FROM_1)
def test_a_network_that_takes_0_to_1(before: Callable[[Any], Any]) -> None:
    found = front(before)
    assert [found.can_be(each) for each in (SCALE, NONE, TF)] == [True, False, False]


@pytest.mark.parametrize("before", FROM_ANY.values(), ids=FROM_ANY)
def test_a_network_that_leaves_the_scale_open(before: Callable[[Any], Any]) -> None:
    assert all(front(before).can_be(each) for each in (SCALE, NONE, TF))


def test_a_scale_that_fits_nothing() -> None:
    """Pixels of 16 bits."""
    assert not any(front(lambda pixels: pixels / 65535.0).can_be(each) for each in (SCALE, NONE, TF))


def test_where_black_and_white_arrive() -> None:
    reached = front(lambda pixels: pixels / 127.5 - 1.0).under(NONE)
    assert reached
    assert (reached.layer, str(reached)) == ("first", "-1 and 1")


def test_nothing_is_said_of_a_network_without_weights() -> None:
    found = Front(keras.Sequential([keras.Input((32, 32, 3)), layers.GlobalAveragePooling2D()]), SCALE)
    assert found.under(NONE) is None
    assert found.can_be(SCALE)
