"""Exact binomial bounds against published tables, and against the binomial distribution they are defined by."""

import pytest
from scipy.stats import binom

from inspectd.evaluation.intervals import clopper_pearson, images_needed, upper_bound


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion: comparison of seven methods",
        # Statistics in Medicine 17 (1998), 857–872, table I, method 5.
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0000, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_two_sided_as_published(k: int, n: int, low: float, high: float) -> None:
    found = clopper_pearson(k, n)
    assert (round(found[0], 4), round(found[1], 4)) == (low, high)


def test_is_the_same_from_the_other_side() -> None:
    low, high = clopper_pearson(3, 40, 0.9)
    assert clopper_pearson(37, 40, 0.9) == (pytest.approx(1 - high), pytest.approx(1 - low))
    assert clopper_pearson(20, 20)[1] == 1.0


def test_an_upper_bound_is_where_so_few_errors_become_unlikely() -> None:
    bound = upper_bound(2, 150)
    assert binom.cdf(2, 150, bound) == pytest.approx(0.05)
    assert bound < clopper_pearson(2, 150)[1]


def test_no_miss_among_150() -> None:
    assert round(upper_bound(0, 150), 3) == 0.020


def test_nothing_is_known_without_images() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert upper_bound(0, 0) == 1.0


@pytest.mark.parametrize(
    ("rate", "level", "wanted"),
    # The success-run theorem's usual table (reliability 1 − rate): 95/95 takes 59, 99/95 takes 299, 90/90 takes 22.
    [(0.05, 0.95, 59), (0.01, 0.95, 299), (0.1, 0.9, 22), (0.005, 0.95, 598), (0.5, 0.75, 2)],
)
def test_images_that_a_claim_needs(rate: float, level: float, wanted: int) -> None:
    assert images_needed(rate, level) == wanted
    assert upper_bound(0, wanted, level) <= rate + 1e-12
    assert upper_bound(0, wanted - 1, level) > rate
