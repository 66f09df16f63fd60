"""The inspector of real networks: one compiled call gives the logits and the heat of a whole batch.

The forward pass runs once. A gradient tape begins to listen at the target layer, so that the gradient is taken from
there upwards only, and of the logit: through a saturated sigmoid it would vanish, and with it the heat.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspectd.errors import BundleError
from inspectd.model.backend import keras, tf
from inspectd.model.bundle import NETWORK, Bundle
from inspectd.model.devices import open_device
from inspectd.model.inspector import Finding, find
from inspectd.model.methods import METHODS
from inspectd.model.preparation import normalise, prepare
from inspectd.model.spec import Method, Precision, Spec
from inspectd.model.surgery import examine, layer_named, load_network, observed, set_precision, take_off_activation


class KerasInspector:
    """A bundle's network on a device. See `inspector.Inspector` and `inspector.open_inspector`."""

    def __init__(
        self, bundle: Bundle, device: str = "auto", precision: Precision = "float32", method: Method = "gradcam"
    ) -> None:
        self.bundle = bundle
        self.method = method
        place = open_device(device)
        self.device = place.text
        self.precision = precision
        self.remarks = list(place.remarks)
        if self.precision == "bfloat16" and not place.bfloat16:
            self.remarks.append(f"{place.text} has no bfloat16 of its own: it will be slower than float32.")
        self._sizes: tuple[int, ...] = (1,)
        self._compiled: dict[tuple[Method, ...], Any] = {}
        to = bundle.spec.preparation
        self._shape = (to.height, to.width, to.channels)
        self._open()

    def _open(self) -> None:
        spec = self.bundle.spec
        network = load_network(self.bundle.path / NETWORK)
        anatomy = examine(network, self._shape)
        check_outputs(anatomy.units, spec)
        gives_logits = take_off_activation(anatomy, spec.activation)
        if not gives_logits:
            self.remarks.append(
                f"{self.bundle.path}: the last activation cannot be taken off this network, so its logits are computed "
                "back from its outputs. Where an output is exactly 0 or 1 the heat is empty."
            )
        set_precision(network, anatomy, self.precision)
        self._call = _Call(network, spec, gives_logits)
        self._compile((self.method,)).get_concrete_function()  # faults of the bundle show here, not in the first batch

    def _compile(self, methods: tuple[Method, ...]) -> Any:
        """The call that explains by `methods`. Each is compiled when it is first needed; the weights are the same."""
        if methods not in self._compiled:
            pixels = tf.TensorSpec((None, *self._shape), tf.uint8)
            call = partial(self._call, methods=methods)
            self._compiled[methods] = tf.function(call, autograph=False, input_signature=[pixels])
        return self._compiled[methods]

    @property
    def traces(self) -> int:
        """How often the compiled call was traced: once, whatever came since; and once for other methods."""
        return sum(int(compiled.experimental_get_tracing_count()) for compiled in self._compiled.values())

    def warm_up(self, batch: int) -> float:
        """See `Inspector.warm_up`. From now on images are taken in batches of these sizes only."""
        self._sizes = batch_sizes(batch)
        blank = np.zeros((batch, *self._shape), np.uint8)
        self._run(blank[:1], (self.method,))  # memory and kernels are set up once; that is not what a batch takes
        slowest = 0.0
        for size in self._sizes:
            start = time.perf_counter()
            self._run(blank[:size], (self.method,))
            slowest = max(slowest, time.perf_counter() - start)
        return slowest

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return prepare(pixels, self.bundle.spec.preparation)

    def inspect(self, prepared: Sequence[NDArray[np.uint8]], methods: Sequence[Method] = ()) -> list[Finding]:
        chosen = tuple(methods) or (self.method,)
        findings: list[Finding] = []
        spec = self.bundle.spec
        while len(findings) < len(prepared):
            rest = prepared[len(findings) :]
            size = next_batch(len(rest), self._sizes)
            part = rest[:size]
            padding = np.zeros((size - len(part), *part[0].shape), np.uint8)
            logits, explained, heat, maxima = self._run(np.concatenate([np.stack(part), padding]), chosen)
            for i in range(len(part)):
                by_method = dict(zip(chosen, maxima[i].tolist(), strict=True))
                findings.append(find(spec, logits[i], spec.classes[explained[i]].name, heat[i].copy(), by_method))
        return findings

    def _run(self, pixels: NDArray[np.uint8], methods: tuple[Method, ...]) -> list[Any]:
        try:
            found = self._compile(methods)(tf.constant(pixels))
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(f"{self.device}: not enough memory for {len(pixels)} images") from error
        return [tensor.numpy() for tensor in found]


class _Call:
    """What is compiled: uint8 pixels (n, h, w, c) → float32 logits (n, units), int32 class (n), heat (n, h, w) of the
    first of m methods, and the maxima (n, m) of the heat of each.
    """

    def __init__(self, network: Any, spec: Spec, gives_logits: bool) -> None:
        self.network = network
        self.spec = spec
        self.gives_logits = gives_logits
        self.target = layer_named(network, str(spec.layer))

    def __call__(self, pixels: Any, methods: tuple[Method, ...]) -> tuple[Any, Any, Any, Any]:
        seen: list[Any] = []
        inputs = normalise(tf.cast(pixels, tf.float32), self.spec.preparation)
        with tf.GradientTape(watch_accessed_variables=False) as tape:

            def watch(activations: Any) -> None:
                tape.watch(activations)
                seen.append(activations)

            with observed(self.target, watch):
                outputs = tf.cast(self.network(inputs, training=False), tf.float32)
            logits = outputs if self.gives_logits else logits_of(outputs, self.spec.activation)
            explained, explained_logit = self._explained(logits)
        activations = self._only(seen)
        gradients = tape.gradient(explained_logit, activations)
        if gradients is None:
            raise BundleError(f"layer: {self.target.name} has no part in the decision. Name another target layer.")
        heats = [METHODS[method](activations, gradients) for method in methods]
        maxima = tf.stack([tf.reduce_max(heat, axis=(1, 2)) for heat in heats], axis=1)
        return logits, explained, heats[0], maxima

    def _explained(self, logits: Any) -> tuple[Any, Any]:
        """Which class the heat explains, and its logit: the strongest NG class, or the strongest of all."""
        classes = self.spec.classes
        if logits.shape[1] == len(classes):
            by_class = logits
        else:
            by_class = logits * tf.constant([-1.0 if each.ok else 1.0 for each in classes])
        # Chosen among the candidates alone: whatever an answer that is no number does to argmax, there is a heat scale.
        candidates = [index for index, each in enumerate(classes) if not (each.ok and self.spec.explain == "defect")]
        strongest = tf.argmax(tf.gather(by_class, candidates, axis=1), axis=1, output_type=tf.int32)
        explained = tf.gather(candidates, strongest)
        return explained, tf.gather(by_class, explained, axis=1, batch_dims=1)

    def _only(self, seen: list[Any]) -> Any:
        name = self.target.name
        if len(seen) != 1:
            raise BundleError(f"layer: {name} is used {len(seen)} times in one pass. Name a target layer used once.")
        if len(getattr(seen[0], "shape", ())) != 4:
            raise BundleError(f"layer: {name} gives no map (n, h, w, k). Name a convolutional layer.")
        return seen[0]


def check_outputs(units: int, spec: Spec) -> None:
    """Whether the network's outputs can be the bundle's classes.

    Raises:
        BundleError: their numbers do not fit.
    """
    count = len(spec.classes)
    if units != count and not (units == 1 and count == 2 and spec.activation == "sigmoid"):
        raise BundleError(
            f"classes: the bundle names {count} classes, but the network has {units} outputs. One output per class is "
            "needed, or a single sigmoid output for two classes."
        )


def logits_of(outputs: Any, activation: str) -> Any:
    """Logits computed back from float32 probabilities: log(p / (1 − p)), or log p for softmax (up to a constant)."""
    tiny = np.float32(np.finfo(np.float32).tiny)
    raised = keras.ops.log(keras.ops.maximum(outputs, tiny))
    return raised if activation == "softmax" else raised - keras.ops.log(keras.ops.maximum(1.0 - outputs, tiny))


def batch_sizes(largest: int) -> tuple[int, ...]:
    """The batch sizes that are run, ascending: 1, 4, 16 … and `largest`."""
    sizes = []
    size = 1
    while size < largest:
        sizes.append(size)
        size *= 4
    return (*sizes, largest)


def next_batch(waiting: int, sizes: Sequence[int]) -> int:
    """The size to run next for `waiting` images: the largest that they fill to three quarters; the rest is padded."""
    return max(size for size in sizes if size == 1 or 4 * waiting >= 3 * size)
