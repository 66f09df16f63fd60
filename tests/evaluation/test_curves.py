"""Curves and reliability against arithmetic done by hand."""

import numpy as np
import pytest

from inspectd.evaluation.curves import Bin, curves, reliability
from inspectd.evaluation.metrics import average_precision


def test_curves_of_what_each_threshold_would_give() -> None:
    found = curves(np.array([1.0, 3.0]), np.array([2.0, 4.0]))
    assert list(zip(found.overkill, found.found, strict=True)) == [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]
    at = dict(zip(found.recall, found.precision, strict=True))
    assert (at[1.0], at[0.5]) == (pytest.approx(2 / 3), 1.0)


def test_average_precision_is_the_mean_over_the_defects_found() -> None:
    assert average_precision(np.array([1.0, 3.0]), np.array([2.0, 4.0])) == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_reliability_by_tenths() -> None:
    scores = np.array([0.0, 0.04, 0.5, 0.55, 0.55, 0.55, 1.0])
    found = reliability(scores, np.array([False, False, True, True, False, False, True]))
    assert [(each.images, each.defects) for each in found.bins] == [(2, 0), (4, 2), (1, 1)]
    assert [each.said for each in found.bins] == pytest.approx([0.02, 0.5375, 1.0])
    assert found.error == pytest.approx((2 * 0.02 + 4 * 0.0375 + 0) / 7)


def test_probabilities_that_are_always_right_have_no_error() -> None:
    assert reliability(np.array([0.0, 1.0]), np.array([False, True])).bins == (Bin(1, 0.0, 0), Bin(1, 1.0, 1))
    assert reliability(np.array([0.0, 1.0]), np.array([True, False])).error == 1.0
