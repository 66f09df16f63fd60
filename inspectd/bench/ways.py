"""The network alone, in the four ways that are compared: compiled, with Grad-CAM, the article's, and tf-keras-vis.

Each way is a function of pixels as `prepare` gives them (uint8), and returns when its result is in the processor's
memory: what a device has been asked for but has not computed yet costs nothing and tells nothing.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspectd.domain import Precision
from inspectd.model.bundle import NETWORK, Bundle
from inspectd.model.engine.backend import keras
from inspectd.model.engine.observing import standing_in
from inspectd.model.engine.on_tensorflow import tf
from inspectd.model.int8 import Int8Part
from inspectd.model.preparation import normalise
from inspectd.model.surgery import (
    examine,
    layer_named,
    load_network,
    narrow_weights,
    set_precision,
    take_off_activation,
)

Pixels = NDArray[np.uint8]


def compiled(bundle: Bundle, precision: Precision) -> Callable[[Pixels], NDArray[np.float32]]:
    """The bare forward pass on (n, height, width, channels), as one compiled call: float32 logits (n, units)."""
    network, to = _loaded(bundle, precision, logits=True), bundle.spec.preparation
    if precision == "int8":
        return _in_two_parts(bundle, network)

    def forward(pixels: Any) -> Any:
        inputs = normalise(tf.cast(pixels, tf.float32), to)
        return tf.cast(network(inputs, training=False), tf.float32)

    signature = [tf.TensorSpec((None, to.height, to.width, to.channels), tf.uint8)]
    function = tf.function(forward, autograph=False, input_signature=signature)
    return lambda pixels: np.asarray(function(tf.constant(pixels)).numpy(), np.float32)


def _in_two_parts(bundle: Bundle, network: Any) -> Callable[[Pixels], NDArray[np.float32]]:
    """The int8 part, then the head as a compiled call."""
    part, to = Int8Part(bundle), bundle.spec.preparation
    target = layer_named(network, str(bundle.spec.layer))

    def head(maps: Any) -> Any:
        with standing_in(target, maps):
            return network(tf.zeros((tf.shape(maps)[0], to.height, to.width, to.channels)), training=False)

    function = tf.function(head, autograph=False, input_signature=[tf.TensorSpec((None, *part.shape), tf.float32)])
    return lambda pixels: np.asarray(function(tf.constant(part(pixels))).numpy(), np.float32)


def article(bundle: Bundle) -> Callable[[Pixels], NDArray[np.float32]]:
    """The article's way with one image (height, width, channels), in float32: `predict` for the verdict, then another
    forward pass under a tape for the heat (h, w).

    Raises:
        ValueError: Keras cannot cut this network at its target layer, as that way needs.
    """
    network, to = _loaded(bundle, "float32", logits=False), bundle.spec.preparation
    twofold = keras.Model(network.input, [layer_named(network, str(bundle.spec.layer)).output, network.output])

    def judge(pixels: Pixels) -> NDArray[np.float32]:
        inputs = normalise(pixels[np.newaxis].astype(np.float32), to)
        network.predict(inputs, verbose=0)
        with tf.GradientTape() as tape:
            maps, outputs = twofold(inputs)
            best = outputs[:, tf.argmax(outputs[0])]
        weights = tf.reduce_mean(tape.gradient(best, maps), axis=(0, 1, 2))
        heat = tf.nn.relu(tf.reduce_sum(maps[0] * weights, axis=-1))
        return np.asarray(heat.numpy(), np.float32)

    return judge


def tf_keras_vis(bundle: Bundle) -> Callable[[Pixels], NDArray[np.float32]]:
    """Grad-CAM by tf-keras-vis, in float32, on (n, height, width, channels); it gives no verdict.

    Raises:
        ImportError: it is not installed.
    """
    from tf_keras_vis.gradcam import Gradcam

    explainer = Gradcam(_loaded(bundle, "float32", logits=True))
    to, layer = bundle.spec.preparation, bundle.spec.layer

    def heat(pixels: Pixels) -> NDArray[np.float32]:
        inputs = normalise(pixels.astype(np.float32), to)
        return np.asarray(explainer(lambda outputs: outputs[:, -1], inputs, penultimate_layer=layer), np.float32)

    return heat


def _loaded(bundle: Bundle, precision: Precision, *, logits: bool) -> Any:
    """The bundle's network in a precision, ending in logits or as it was saved."""
    spec = bundle.spec
    to = spec.preparation
    network = load_network(bundle.path / NETWORK)
    anatomy = examine(network, (to.height, to.width, to.channels))
    if logits:
        take_off_activation(anatomy, spec.activation)
    set_precision(network, anatomy, precision)
    if precision == "bfloat16":
        narrow_weights(network)
    return network
