"""Writes networks with Keras 2. Run as a program of its own: TF_USE_LEGACY_KERAS=1 keras2_zoo.py FOLDER

Each is saved as NAME.h5 and NAME.keras, with random weights, and NAME.npz holds an input and what Keras 2 answers.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras.src.engine.base_layer import TensorFlowOpLayer

L = keras.layers
SHAPE = (16, 16, 3)


def functional(body: Callable[[Any], Any], shape: tuple[int, ...] = SHAPE) -> Callable[[], Any]:
    def build() -> Any:
        pixels = keras.Input(shape)
        maps = body(pixels)
        return keras.Model(pixels, L.Dense(2)(L.GlobalAveragePooling2D()(maps)))

    return build


def nested() -> Any:
    """Three deep, a part of it frozen: the file has what is trained first."""
    inner = keras.Sequential([L.Conv2D(3, 3, input_shape=SHAPE), L.BatchNormalization(trainable=False)])
    middle = keras.Sequential([inner, L.Conv2D(3, 3), L.BatchNormalization()])
    return keras.Sequential([middle, L.GlobalAveragePooling2D(), L.Dense(2, activation="softmax")])


def shared() -> Any:
    tower = keras.Sequential(
        [L.Conv2D(3, 3, padding="same", input_shape=SHAPE), L.BatchNormalization()], name="a/tower"
    )
    conv = L.Conv2D(3, 1, name="a_tower")
    pixels = keras.Input(SHAPE)
    maps = L.Multiply(name="multiply")([tower(conv(pixels)), tower(pixels * 0.5)])
    unnamed = [keras.Sequential([L.Conv2D(2, 3), L.ReLU()])(maps) for _ in range(2)]
    return keras.Model(pixels, keras.Sequential([L.GlobalAveragePooling2D(), L.Dense(2)])(L.Concatenate()(unnamed)))


def backbone() -> Any:
    small = keras.applications.MobileNetV3Small(input_shape=(32, 32, 3), alpha=0.35, include_top=False, weights=None)
    return functional(lambda pixels: small(pixels, training=False), (32, 32, 3))()


def mixed() -> Any:
    keras.mixed_precision.set_global_policy("mixed_float16")
    network = functional(lambda pixels: L.Conv2D(3, 3)(pixels / 255.0))()
    keras.mixed_precision.set_global_policy("float32")
    return network


def prepared() -> Any:
    known = L.Normalization()
    known.adapt(np.random.default_rng(0).uniform(0, 1, (4, *SHAPE)).astype("float32"))
    augment = keras.Sequential([L.RandomFlip("horizontal"), L.RandomRotation(0.2), L.RandomZoom(0.1)])
    return functional(lambda pixels: L.Conv2D(3, 3)(L.Dropout(0.2)(known(L.Rescaling([0.5, 1, 2])(augment(pixels))))))()


def layers(maps: Any) -> Any:
    maps = L.DepthwiseConv2D(3, depth_multiplier=2, activation="relu6")(maps)
    maps = L.SeparableConv2D(6, 3, activation=L.LeakyReLU(0.1), name="block/separable")(maps)
    maps = L.Conv2D(6, 3, groups=2, kernel_regularizer="l2", activation=tf.nn.silu)(L.LeakyReLU(0.2)(maps))
    maps = L.Conv2D(4, 1, activation="hard_sigmoid", name="block/gate")(maps)
    maps = L.Activation("hard_sigmoid")(L.BatchNormalization(axis=2)(L.ThresholdedReLU(0.1)(maps)))
    maps = L.Conv2DTranspose(4, 3, strides=2)(L.PReLU(shared_axes=[1, 2])(maps))
    return L.LayerNormalization()(L.SpatialDropout2D(0.1)(L.RandomCrop(12, 14)(maps)))


def arithmetic(maps: Any) -> Any:
    maps = (1.0 - maps) * 2.0 / 0.5 + 3.0 / (maps + 1.0) - [0.1, 0.2, 0.3] - (-maps) ** 2
    maps = tf.subtract(tf.constant([[[0.4, 0.5, 0.6]]]), maps) * maps + maps
    maps = tf.sqrt(tf.square(maps) + tf.abs(maps)) + tf.pow(tf.nn.relu(maps), 1.5)
    return L.Conv2D(3, 3)(maps * tf.nn.relu6(maps + 3.0) * (1.0 / 6.0))


def shapes(maps: Any) -> Any:
    maps = tf.transpose(tf.reverse(maps, axis=[1]), [0, 2, 1, 3])[:, 1:-1]
    maps = tf.concat([maps, tf.cast(tf.cast(maps * 9.0, "uint8"), tf.float32) / 9.0], axis=-1)
    first, second = tf.split(maps, [2, 4], axis=-1)
    maps = tf.concat([first, tf.squeeze(tf.expand_dims(second, 1), [1])], 3)
    maps = tf.reduce_max(tf.stack([maps, maps * 0.5], axis=1), axis=1) - tf.reduce_mean(maps, [1, 2], keepdims=True)
    maps = tf.image.resize(tf.pad(maps, [[0, 0], [1, 1], [2, 2], [0, 0]]), (12, 10))
    return L.Conv2D(3, 3)(tf.clip_by_value(keras.activations.sigmoid(tf.reshape(maps, (-1, 10, 12, 6))), 0.1, 0.9))


def caffe(pixels: Any) -> Any:
    return L.Conv2D(3, 3)(keras.applications.vgg16.preprocess_input(pixels))


def nodes(pixels: Any) -> Any:
    """Operators as TensorFlow 2.0 to 2.3 saved them."""
    maps = node("slice", lambda maps: maps[..., ::-1], pixels)
    maps = node("mean", lambda maps: tf.reduce_mean(maps, [1, 2], keepdims=True), maps)
    maps = node("sub", lambda first, second: first - second, pixels, maps)
    maps = node("left", lambda maps: 1.0 - maps, node("div", lambda maps: maps / 127.5, maps))
    maps = node("bias", lambda maps: tf.nn.bias_add(maps, [0.1, 0.2, 0.3]), maps)
    return L.Conv2D(3, 3)(maps)


def node(name: str, function: Callable[..., Any], *tensors: Any) -> Any:
    with tf.Graph().as_default():
        inputs = [tf.compat.v1.placeholder(tf.float32, tensor.shape) for tensor in tensors]
        made = function(*inputs).op
        values = {i: tf.get_static_value(each) for i, each in enumerate(made.inputs)}
        constants = {i: value for i, value in values.items() if value is not None}
        definition = made.node_def.SerializeToString()
    return TensorFlowOpLayer(definition, name=name, constants=constants)(
        tensors[0] if len(tensors) == 1 else [*tensors]
    )


class Blur(L.Layer):
    def call(self, maps: Any) -> Any:
        return maps * 0.5


def scaled(scale: Any) -> Callable[[], Any]:
    return functional(lambda pixels: L.Conv2D(3, 3)(scale(pixels)))


def loss(wanted: Any, given: Any) -> Any:
    """One of the maker's own, which nothing here needs."""
    return tf.reduce_mean((wanted - given) ** 2)


def doubled(maps: Any) -> Any:
    return maps * 2.0


class Subclass(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = functional(lambda pixels: L.Conv2D(3, 3)(pixels))().layers[1], L.Dense(2)

    def call(self, pixels: Any) -> Any:
        return self.head(tf.reduce_mean(self.conv(pixels), axis=[1, 2]))

    def get_config(self) -> dict[str, Any]:
        return {}


def subclassed(network: Any, folder: Path, name: str) -> None:
    """A network of its maker's own class, which only `.keras` can hold, and the way out that is given."""
    pixels = np.random.default_rng(3).uniform(0, 1, (2, *SHAPE)).astype("float32")
    network(pixels)
    shake(network)
    network.save(folder / f"{name}.keras")
    np.savez(folder / f"{name}.npz", pixels=pixels, answers=network(pixels))
    symbolic = keras.Input(SHAPE)
    keras.Model(symbolic, network.call(symbolic)).save(folder / f"of_{name}.h5")


class Derived(keras.Model):
    """Made from inputs and outputs, as people do who change the training step."""


def derived() -> Any:
    network = shared()
    return Derived(network.input, network.output)


def outputs(count_in: int, count_out: int) -> Any:
    inputs = [keras.Input(SHAPE, name=f"camera_{i}") for i in range(count_in)]
    maps = L.GlobalAveragePooling2D()(L.Concatenate()(inputs) if count_in > 1 else inputs[0])
    return keras.Model(inputs, [L.Dense(2, name=f"head_{i}")(maps) for i in range(count_out)])


NETWORKS: dict[str, Callable[[], Any]] = {
    **{"nested": nested, "shared": shared, "backbone": backbone, "mixed": mixed, "prepared": prepared},
    **{each.__name__: functional(each) for each in (layers, arithmetic, shapes, caffe, nodes)},
    "recurrent": lambda: keras.Sequential(
        [keras.Input(SHAPE), L.Reshape((16, 48)), L.Bidirectional(L.LSTM(3)), L.Dense(2)]
    ),
}
REFUSED: dict[str, Callable[[], Any]] = {
    "lambda": scaled(L.Lambda(lambda maps: maps / 255.0, name="scale")),
    "custom": functional(lambda pixels: L.Conv2D(3, 3)(Blur(name="blur")(pixels))),
    "function": functional(lambda pixels: L.Conv2D(3, 3, activation=doubled, name="conv")(pixels)),
    "operator": functional(lambda pixels: tf.image.per_image_standardization(pixels)),
    "local": functional(lambda pixels: L.LocallyConnected2D(2, 3, name="local")(pixels)),
    "two_outputs": lambda: outputs(1, 2),
    "two_inputs": lambda: outputs(2, 1),
}


def shake(network: Any) -> None:
    """Gives every weight a value of its own, so that none can stand in another's place unseen."""
    random = np.random.default_rng(5)

    def shaken(weight: Any) -> Any:
        if "kernel" in weight.name:
            return weight.numpy() * random.uniform(0.7, 1.3, weight.shape)
        positive = "variance" in weight.name or "gamma" in weight.name
        return random.uniform(0.8, 1.2, weight.shape) if positive else random.normal(0, 0.1, weight.shape)

    network.set_weights([shaken(weight) for weight in network.weights])


def save(network: Any, path: Path) -> None:
    network.save(path.with_suffix(".h5"))
    try:
        network.save(path.with_suffix(".keras"))
    except TypeError as error:  # Keras 2 itself cannot write `...` into this kind
        if "Ellipsis" not in str(error):
            raise


def main(folder: Path) -> None:
    keras.utils.set_random_seed(1)
    for name, build in {**NETWORKS, **REFUSED}.items():
        network = build()
        network.compile(keras.optimizers.legacy.SGD(0.1, decay=0.1), loss=loss)
        shake(network)
        save(network, folder / name)
        if name in NETWORKS or name == "lambda":
            pixels = np.random.default_rng(3).uniform(0, 1, (2, *network.input_shape[1:])).astype("float32")
            np.savez(folder / f"{name}.npz", pixels=pixels, answers=network(pixels, training=False))
    subclassed(Subclass(), folder, "subclass")
    subclassed(derived(), folder, "derived")
    new, old = scaled(L.Rescaling(1 / 255))(), keras.models.load_model(folder / "lambda.h5", compile=False)
    new.set_weights(old.get_weights())  # the ways out that are given
    new.save(folder / "instead.h5")
    both = keras.models.load_model(folder / "two_outputs.h5", compile=False)
    keras.Model(both.input, both.get_layer("head_0").output).save(folder / "one_output.keras")
    network = keras.models.load_model(folder / "prepared.h5", compile=False)
    network.save(folder / "saved_model", save_format="tf")
    keras.models.load_model(folder / "saved_model").save(folder / "of_saved_model.h5")
    network.export(folder / "exported")


main(Path(sys.argv[1]))
