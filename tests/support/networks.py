"""Small and large networks of every make, each with a plain reference for its logits and its heat by each method.

The references are written out by hand from the whole graph, with a tape that watches everything, and share no code with
the package beyond Keras. Heads have positive weights, so that no reference heat is empty and equal by accident.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspectd.domain import METHOD_NAMES, Method
from inspectd.model.bundle import INT8, NETWORK, Bundle, write_bundle
from inspectd.model.engine.backend import keras
from inspectd.model.engine.on_tensorflow import tf
from inspectd.model.golden import Sighting, golden_files
from inspectd.model.int8 import convert
from inspectd.model.loading import load_inspector
from inspectd.model.networks import build_network
from inspectd.model.spec import HeatScale, ImageClass, Preparation, Quantised, Spec, Thresholds

OK_NG = (ImageClass("ok", True), ImageClass("scratch", False))
OK_SPOT_SCRATCH = (ImageClass("ok", True), ImageClass("spot", False), ImageClass("scratch", False))


@dataclass(frozen=True)
class Case:
    """A network, how a bundle describes it, and `parts`: scaled pixels → (target layer's activations, logits)."""

    network: Any
    parts: Callable[[Any], tuple[Any, Any]]
    layer: str
    size: int
    activation: str = "sigmoid"
    classes: tuple[ImageClass, ...] = OK_NG

    def spec(self, **changes: Any) -> Spec:
        values = {
            "name": "trial",
            "classes": self.classes,
            "activation": self.activation,
            "preparation": Preparation(self.size, self.size),
            "thresholds": Thresholds(0.0),
            "heat_scale": {
                method: {each.name: HeatScale(0.0, 1.0) for each in changes.get("classes", self.classes)}
                for method in METHOD_NAMES
            },
            "layer": self.layer,
        }
        return Spec(**(values | changes))

    def bundle(self, folder: Path, **changes: Any) -> Bundle:
        saved = folder / "saved.keras"
        self.network.save(saved)
        return write_bundle(folder / "bundle", self.spec(**changes), {NETWORK: saved})

    def images(self, count: int) -> list[np.ndarray]:
        rng = np.random.default_rng(5)
        return list(rng.integers(0, 256, (count, self.size, self.size, 3), np.uint8))

    def reference(self, images: list[np.ndarray], method: Method = "gradcam") -> tuple[np.ndarray, np.ndarray]:
        """Logits, and the heat of the NG class by one method."""
        logits, heats = self.references(images)
        return logits, heats[method]

    def references(self, images: list[np.ndarray]) -> tuple[np.ndarray, dict[Method, np.ndarray]]:
        """Logits, and the heat of the NG class by the papers' formulas, one image at a time."""
        found = [self._reference(image) for image in images]
        heats = {method: np.stack([by_method[method] for _, by_method in found]) for method in METHOD_NAMES}
        return np.stack([logits for logits, _ in found]), heats

    def _reference(self, image: np.ndarray) -> tuple[np.ndarray, dict[Method, np.ndarray]]:
        with tf.GradientTape() as tape:
            activations, logits = self.parts(tf.constant(image[None], tf.float32) / 255.0)
            defect = tf.reduce_max(logits[0, 1:]) if logits.shape[1] > 1 else logits[0, 0]
        gradients = tape.gradient(defect, activations).numpy()[0].astype(np.float64)
        weights = {"gradcam": gradients.mean(axis=(0, 1)), "layercam": np.maximum(gradients, 0), "hirescam": gradients}
        maps = activations.numpy()[0].astype(np.float64)
        return logits.numpy()[0], {each: np.maximum((maps * weights[each]).sum(axis=-1), 0) for each in METHOD_NAMES}


def _positive(*layers: Any) -> None:
    for layer in layers:
        layer.kernel.assign(tf.abs(layer.kernel))


def _dense(layer: Any, inputs: Any) -> Any:
    return tf.matmul(inputs, layer.kernel) + layer.bias


def article() -> Case:
    """The article's network, whole: 224×224, two sigmoid units."""
    network = build_network("vgg16", None, "flatten", 2, Preparation(224, 224))
    hidden, decision = network.get_layer("hidden"), network.get_layer("decision")
    _positive(hidden, decision)
    lower = keras.Model(network.inputs, [network.get_layer("block5_conv3").output, network.get_layer("flatten").output])

    def parts(pixels: Any) -> tuple[Any, Any]:
        activations, flat = lower(pixels)
        return activations, _dense(decision, tf.nn.relu(_dense(hidden, flat)))

    return Case(network, parts, "block5_conv3", 224)


def nested() -> Case:
    """VGG16 as a single layer of a functional model, max head, one sigmoid unit."""
    inner = keras.applications.VGG16(include_top=False, weights=None, input_shape=(64, 64, 3))
    pixels = keras.Input((64, 64, 3))
    decision = keras.layers.Dense(1, activation="sigmoid")
    network = keras.Model(pixels, decision(keras.layers.GlobalMaxPooling2D()(inner(pixels))))
    _positive(decision)
    lower = keras.Model(inner.input, [inner.get_layer("block4_conv3").output, inner.output])

    def parts(pixels: Any) -> tuple[Any, Any]:
        activations, maps = lower(pixels)
        return activations, _dense(decision, tf.reduce_max(maps, axis=(1, 2)))

    return Case(network, parts, "block4_conv3", 64)


def sequential() -> Case:
    """Sequential, its softmax in a layer of its own."""
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((48, 48, 3)),
            layers.Conv2D(8, 5, strides=2, activation="relu", name="first"),
            layers.Conv2D(12, 3, activation="relu", name="second"),
            layers.GlobalAveragePooling2D(name="average"),
            layers.Dense(2),
            layers.Softmax(),
        ]
    )
    first, second, _, decision, _ = network.layers
    _positive(decision)

    def parts(pixels: Any) -> tuple[Any, Any]:
        activations = second(first(pixels))
        return activations, _dense(decision, tf.reduce_mean(activations, axis=(1, 2)))

    return Case(network, parts, "second", 48, "softmax")


def mobilenet() -> Case:
    """MobileNetV2 with its own softmax head: branches that join, and batch normalisation with lived-in statistics."""
    network = keras.applications.MobileNetV2(weights=None, alpha=0.35, classes=2, input_shape=(64, 64, 3))
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(tf.fill(layer.moving_variance.shape, 0.05))
    decision = network.layers[-1]
    _positive(decision)
    lower = keras.Model(network.inputs, [network.get_layer("out_relu").output, network.layers[-2].output])

    def parts(pixels: Any) -> tuple[Any, Any]:
        activations, features = lower(pixels)
        return activations, _dense(decision, features)

    return Case(network, parts, "out_relu", 64, "softmax")


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """Written as a class; its activation is a layer's own, or (`loose`) a bare function call that nobody can find."""

    def __init__(self, loose: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.loose = loose
        self.maps = keras.layers.Conv2D(8, 5, strides=3, activation="relu", name="maps")
        self.decision = keras.layers.Dense(2, activation=None if loose else "sigmoid")

    def call(self, pixels: Any) -> Any:
        answer = self.decision(keras.ops.mean(self.maps(pixels), axis=(1, 2)))
        return keras.ops.sigmoid(answer) if self.loose else answer

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"loose": self.loose}


def subclassed(loose: bool = False) -> Case:
    network = Subclassed(loose)
    network(np.zeros((1, 40, 40, 3), np.float32))
    _positive(network.decision)

    def parts(pixels: Any) -> tuple[Any, Any]:
        activations = network.maps(pixels)
        return activations, _dense(network.decision, tf.reduce_mean(activations, axis=(1, 2)))

    return Case(network, parts, "maps", 40)


def operators() -> Case:
    """A network whose pixels are scaled, and whose last map is made, by operators of the graph; two networks deep."""
    layers, ops = keras.layers, keras.ops
    first, second = (layers.Conv2D(8, 3, padding="same", name=name) for name in ("first", "second"))
    maps = keras.Input((40, 40, 3))
    inner = keras.Model(maps, ops.relu(second(first(maps)) + first.output))
    pixels = keras.Input((40, 40, 3))
    decision = layers.Dense(1, activation="sigmoid")
    outer = keras.Sequential([keras.Input((40, 40, 3)), inner, layers.GlobalAveragePooling2D()])
    network = keras.Model(pixels, decision(outer(pixels * 2.0 - 1.0)))
    _positive(decision)

    def parts(pixels: Any) -> tuple[Any, Any]:
        below = first(pixels * 2.0 - 1.0)
        activations = tf.nn.relu(second(below) + below)
        return activations, _dense(decision, tf.reduce_mean(activations, axis=(1, 2)))

    return Case(network, parts, inner.operations[-1].name, 40)


def evidence() -> Case:
    """A head of local evidence: one map for each class but the first, pooled by log-sum-exp."""
    network = build_network("compact", "stage3_relu", "evidence", 3, Preparation(48, 48))
    features, head = network.get_layer("features"), network.get_layer("evidence")
    features.moving_variance.assign(tf.fill(features.moving_variance.shape, 0.2))
    head.kernel.assign(tf.random.stateless_uniform(head.kernel.shape, (1, 2)))
    lower = keras.Model(network.inputs, features.output)

    def parts(pixels: Any) -> tuple[Any, Any]:
        activations = lower(pixels)
        maps = tf.einsum("nhwk,kc->nhwc", activations, head.kernel[0, 0]) + head.bias
        pooled = tf.math.log(tf.reduce_mean(tf.exp(maps), axis=(1, 2)))
        return activations, tf.concat([tf.zeros_like(pooled[:, :1]), pooled], axis=1)

    return Case(network, parts, "features", 48, "softmax", OK_SPOT_SCRATCH)


CASES = {
    "article": article,
    "nested": nested,
    "sequential": sequential,
    "mobilenet": mobilenet,
    "operators": operators,
    "evidence": evidence,
    "subclassed": subclassed,
    "subclassed, loose": lambda: subclassed(loose=True),
}


def with_golden_images(folder: Path) -> Callable[[Path, float], Bundle]:
    """Makes bundles of one small network, each with one golden image a class and the logit gap that is asked for."""
    keras.utils.set_random_seed(3)  # how far bfloat16 is off depends on the weights
    case = sequential()
    draft = case.bundle(folder)
    paths = []
    for number, pixels in enumerate(case.images(2)):
        paths.append(folder / f"{number}.png")
        cv2.imwrite(str(paths[-1]), pixels)
    inspector = load_inspector(draft, "cpu", "float32")

    def make(path: Path, gap: float) -> Bundle:
        seen = [Sighting(paths[0], 0, 0.0), Sighting(paths[1], 1, gap)]
        return write_bundle(path, draft.spec, dict(golden_files(inspector, seen, 0.0).files), draft)

    return make


def with_int8(bundle: Bundle, path: Path, samples: list[np.ndarray], auc: float = 1.0) -> Bundle:
    """A bundle like another with an int8 part, of which this AUC is stated beside 1.0."""
    part = convert(bundle, samples, lambda *_: None)
    found = Quantised(len(samples), images=2, auc_float32=1.0, auc=auc, verdicts_changed=0, farthest=0.01)
    return write_bundle(path, replace(bundle.spec, int8=found), {INT8: part}, bundle)
