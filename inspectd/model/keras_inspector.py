"""The inspector of Keras networks: one compiled call computes the logits and the heat of a whole batch.

The forward pass runs once. The gradient runs from the logit down to the target layer only. It is the gradient of the
logit because that of a saturated sigmoid would vanish, and the heat with it. In int8 another engine runs the layers
below the target layer (`int8`), and the compiled call starts from their output.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspectd.domain import DEFAULT_METHOD, Method, Precision
from inspectd.errors import BundleError, DeviceError
from inspectd.model.bundle import NETWORK, Bundle
from inspectd.model.devices import open_device
from inspectd.model.engine import engine
from inspectd.model.engine.backend import keras
from inspectd.model.engine.observing import standing_in
from inspectd.model.heat.methods import METHODS
from inspectd.model.inspector import Finding, find
from inspectd.model.preparation import normalise, prepare
from inspectd.model.spec import Spec
from inspectd.model.surgery import (
    examine,
    layer_named,
    load_network,
    narrow_weights,
    set_precision,
    take_off_activation,
)

if TYPE_CHECKING:
    from inspectd.model.int8 import Int8Part

ops = keras.ops


class KerasInspector:
    """A bundle's network on a device. See `inspector.Inspector` and `loading.open_inspector`."""

    def __init__(
        self, bundle: Bundle, device: str = "auto", precision: Precision = "float32", method: Method = DEFAULT_METHOD
    ) -> None:
        self.bundle = bundle
        self.method = method
        place = open_device(device)
        self.device = place.text
        self.precision = precision
        self.remarks = list(place.remarks)
        if self.precision == "int8" and place.text != "cpu":
            raise DeviceError(f"precision: int8 is for processors, not for {place.text}. Set `device: cpu`.")
        if self.precision != "float32" and not getattr(place, self.precision):
            self.remarks.append(f"{place.text} has no {self.precision} of its own: it may be slower than float32.")
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
        if self.precision == "bfloat16":
            narrow_weights(network)
        self._int8 = _int8_part(self.bundle) if self.precision == "int8" else None
        self._call = (_Head if self._int8 else _Call)(network, spec, gives_logits)
        self._compile((self.method,))  # faults of the bundle show here, not in the first batch

    def _compile(self, methods: tuple[Method, ...]) -> Any:
        """The call that computes heat by `methods`. Each combination is compiled at its first use; all share the
        weights.
        """
        if methods not in self._compiled:
            call = partial(self._call, methods=methods)
            shape, dtype = (self._int8.shape, "float32") if self._int8 else (self._shape, "uint8")
            self._compiled[methods] = engine.compiled(call, self._call.network, shape, dtype)
        return self._compiled[methods]

    @property
    def traces(self) -> int:
        """How often the call was traced: never again after the warm-up, except for methods that are new to it."""
        return self._call.traces

    def warm_up(self, batch: int) -> float:
        """See `Inspector.warm_up`. From then on only batches of these sizes run."""
        self._sizes = batch_sizes(batch)
        blank = np.zeros((batch, *self._shape), np.uint8)
        self._run(blank[:1], (self.method,))  # the first call sets up memory and kernels; that is no batch's time
        return max(self._seconds(blank[:size]) for size in self._sizes)

    def _seconds(self, pixels: NDArray[np.uint8]) -> float:
        """The time of a batch, without compiling."""
        while True:
            traces, start = self.traces, time.perf_counter()
            self._run(pixels, (self.method,))
            if self.traces == traces:
                return time.perf_counter() - start

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
            found: list[Any] = self._compile(methods)(self._int8(pixels) if self._int8 else pixels)
        except MemoryError as error:
            raise MemoryError(f"{self.device}: not enough memory for {len(pixels)} images") from error
        return found


class _Call:
    """The compiled function: uint8 pixels (n, h, w, c) → float32 logits (n, units), int32 class (n), heat (n, h, w) of
    the first of m methods, and the maxima (n, m) of each method's heat.
    """

    def __init__(self, network: Any, spec: Spec, gives_logits: bool) -> None:
        self.network = network
        self.spec = spec
        self.gives_logits = gives_logits
        self.target = layer_named(network, str(spec.layer))
        self.traces = 0

    def __call__(self, pixels: Any, methods: tuple[Method, ...]) -> tuple[Any, Any, Any, Any]:
        self.traces += 1
        inputs = normalise(ops.cast(pixels, "float32"), self.spec.preparation)

        def forward() -> tuple[Any, tuple[Any, Any]]:
            outputs = ops.cast(self.network(inputs, training=False), "float32")
            logits = outputs if self.gives_logits else logits_of(outputs, self.spec.activation)
            explained, explained_logit = self._explained(logits)
            return explained_logit, (logits, explained)

        (logits, explained), activations, gradients = engine.gradient(forward, self.target)
        if gradients is None:
            raise BundleError(
                f"layer: {self.target.name} does not contribute to the decision. Name another target layer."
            )
        heats = [METHODS[method](activations, gradients) for method in methods]
        maxima = ops.stack([ops.max(heat, axis=(1, 2)) for heat in heats], axis=1)
        return logits, explained, heats[0], maxima

    def _explained(self, logits: Any) -> tuple[Any, Any]:
        """The class that the heat explains, and its logit: the strongest NG class, or the strongest of all."""
        classes = self.spec.classes
        if logits.shape[1] == len(classes):
            by_class = logits
        else:
            by_class = logits * np.array([-1.0 if each.ok else 1.0 for each in classes], np.float32)
        # Only among the candidates, so that a heat scale exists even if a NaN decides argmax.
        candidates = [index for index, each in enumerate(classes) if not (each.ok and self.spec.explain == "defect")]
        strongest = ops.argmax(ops.take(by_class, candidates, axis=1), axis=1)
        explained = ops.take(np.array(candidates, np.int32), strongest)
        return explained, ops.take_along_axis(by_class, explained[:, None], axis=1)[:, 0]


class _Head(_Call):
    """Like `_Call`, but from the output of the target layer: float32 maps (n, h, w, k) instead of pixels."""

    def __call__(self, maps: Any, methods: tuple[Method, ...]) -> tuple[Any, Any, Any, Any]:
        to = self.spec.preparation
        blank = ops.zeros((ops.shape(maps)[0], to.height, to.width, to.channels), "uint8")
        with standing_in(self.target, maps):
            return super().__call__(blank, methods)


def _int8_part(bundle: Bundle) -> "Int8Part":
    from inspectd.model.int8 import Int8Part  # imports TensorFlow even if Keras runs on JAX

    return Int8Part(bundle)


def check_outputs(units: int, spec: Spec) -> None:
    """Checks that the network has one output per class of the bundle.

    Raises:
        BundleError: the numbers differ.
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
    raised = ops.log(ops.maximum(outputs, tiny))
    return raised if activation == "softmax" else raised - ops.log(ops.maximum(1.0 - outputs, tiny))


def batch_sizes(largest: int) -> tuple[int, ...]:
    """The batch sizes in use, ascending: 1, 4, 16 … and `largest`."""
    sizes = []
    size = 1
    while size < largest:
        sizes.append(size)
        size *= 4
    return (*sizes, largest)


def next_batch(waiting: int, sizes: Sequence[int]) -> int:
    """The next batch size for `waiting` images: the largest that they fill to three quarters; the rest is padding."""
    return max(size for size in sizes if size == 1 or 4 * waiting >= 3 * size)
