"""Finds out which pixel scale a network expects, and whether it scales pixels itself.

The configuration of operators, Rescaling and Normalization layers is not read. Instead, black, grey and white images
run through the part of the network before its first learned weights. The scale that reaches those weights shows which
preparations the network can have been trained with.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspectd.model.backbones import SCALES
from inspectd.model.engine import engine
from inspectd.model.engine.backend import keras
from inspectd.model.engine.observing import observed
from inspectd.model.preparation import normalise
from inspectd.model.spec import Preparation
from inspectd.model.surgery import has_learned, parts

GREYS = (0.0, 127.5, 255.0)  # black, grey, white
NARROWEST, WIDEST = 0.5, 400.0  # between black and white, of usual inputs: 0..1, −1..1, 0..255 and the like
SAME = 0.01  # of the distance between black and white

Values = NDArray[np.float32]  # (3): of black, grey and white: the median over places and channels


@dataclass(frozen=True)
class Reached:
    """The values of black, grey and white under one preparation.

    Attributes:
        layer: The first layer with learned weights, for people.
        given: The values at the network's input.
        first: The values at its first learned weights.
        normalised: The same, but after a batch normalisation at the beginning of the network: its pixel statistics are
            a scale too.
    """

    layer: str
    given: Values
    first: Values
    normalised: Values

    @property
    def is_usual(self) -> bool:
        """Whether the range at the first weights is one that networks are trained with."""
        black, grey, white = self.normalised.tolist()
        width, low, high = abs(white - black), min(black, white), max(black, white)
        clear = 0.05 * width  # in a clipped range grey equals one end
        centred = abs(black + white) / 2 <= width
        return bool(NARROWEST <= width <= WIDEST and centred and low + clear < grey < high - clear)

    @property
    def has_fixed_scale(self) -> bool:
        """Whether the network scales pixels by unlearned operations."""
        return _differ(self.given, self.first)

    @property
    def is_blank(self) -> bool:
        """Whether black and white arrive equal: the network scales each image by its own values."""
        return bool(np.ptp(self.normalised) < 1e-5)

    def __str__(self) -> str:
        return f"{self.normalised[0]:.4g} and {self.normalised[2]:.4g}"


class Front:
    """The part of a network before its first learned weights, for images of one shape."""

    def __init__(self, network: Any, to: Preparation) -> None:
        self._shape = (to.height, to.width, to.channels)
        self._layer = ""
        self._known = False

        def call(pixels: Any) -> tuple[Any, ...]:
            seen: list[tuple[Any, Any]] = []
            with ExitStack() as stack:
                for part in filter(has_learned, parts(network)):
                    stack.enter_context(observed(part, taken=_noting(part, seen)))
                network(pixels, training=False)
            behind = [each for each in seen if not isinstance(each[0], keras.layers.BatchNormalization)]
            self._known = bool(behind)
            if not behind:
                return (pixels,)
            self._layer = str(seen[0][0].name)
            return tuple(keras.ops.cast(inputs, "float32") for _, inputs in (seen[0], behind[0]))

        self._run = engine.compiled(call, network, self._shape, "float32")

    def under(self, to: Preparation) -> Reached | None:
        """The values of black, grey and white under this preparation; None if no learned weights are found."""
        if not self._known:
            return None
        greys = np.empty((len(GREYS), *self._shape), np.float32)
        greys[:] = np.array(GREYS, np.float32)[:, None, None, None]
        given = np.ascontiguousarray(normalise(greys, to))
        first, normalised = self._run(given)
        if len(first) != len(GREYS) or len(normalised) != len(GREYS):
            return None
        return Reached(self._layer, _middle(given), _middle(first), _middle(normalised))

    def can_be(self, to: Preparation) -> bool:
        """Whether the network can have been trained with this preparation, as far as the values show."""
        reached = self.under(to)
        if reached is None or reached.is_blank:
            return True
        twice = to.preprocess == "backbone" and SCALES[str(to.backbone)] != "own" and reached.has_fixed_scale
        return reached.is_usual and not twice


def _noting(part: Any, seen: list[tuple[Any, Any]]) -> Any:
    return lambda inputs: seen.append((part, inputs))


def _middle(values: NDArray[Any]) -> Values:
    """For each image, the median of the values that depend on it, so without borders or coordinates that the network
    adds.
    """
    flat = values.reshape(len(values), -1)
    depends = np.ptp(flat, axis=0) > 0
    return np.asarray(np.median(flat[:, depends] if depends.any() else flat, axis=1), np.float32)


def _differ(given: Values, found: Values) -> bool:
    return bool(np.abs(found - given).max() > SAME * np.ptp(given))
