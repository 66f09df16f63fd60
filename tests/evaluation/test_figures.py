"""Pictures of what is rare: drawn all the same, and nothing in a name is taken for more than text."""

import io
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from inspectd.evaluation import figures
from inspectd.evaluation.assessment import Confusion
from inspectd.evaluation.curves import curves, reliability
from inspectd.evaluation.rates import Rate
from inspectd.model.spec import ImageClass, Thresholds

ALIKE = np.zeros(3)
NAMES = ("a$b_{2$", "<i>crack</i>", "very long name of a class that is hardly ever seen")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.margins(ALIKE, ALIKE, Thresholds(0.0)),
        lambda: figures.margins(np.array([-1e9]), np.array([1e9]), Thresholds(1.0, -1.0)),
        lambda: figures.roc(curves(ALIKE, ALIKE), 0.5, 1.0, 1.0),
        lambda: figures.precision_recall(curves(ALIKE, ALIKE), 0.5, 0.0, None),
        lambda: figures.calibration(reliability(np.array([0.5]), np.array([True]))),
        lambda: figures.distances(Rate(0, 2), [np.inf, np.inf]),
        lambda: figures.confusion(
            Confusion((*NAMES, "review", "failed"), ((0, 0, 0, 0, 0), (1, 2, 3, 4, 5), (0, 0, 9, 0, 0))),
            [ImageClass(name, index == 0) for index, name in enumerate(NAMES)],
        ),
    ],
)
def test_draws_without_a_warning(draw: Callable[[], bytes]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = Image.open(io.BytesIO(draw()))
    assert picture.format == "PNG"
    assert len(picture.convert("L").getcolors() or []) > 10, "there is something on it"
