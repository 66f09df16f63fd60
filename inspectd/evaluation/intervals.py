"""Exact binomial bounds of an error rate, and the number of images that a claim needs.

C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
Biometrika 26 (1934), 404–413. Tables show two-sided intervals; a claim ("the escape rate is below …") is one-sided,
so its bound is lower. The two are never mixed.
"""

import math

from scipy.stats import binomtest


def clopper_pearson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a rate, after `k` errors in `n` independent images; (0, 1) for no images.

    Returns:
        Lower and upper limit, 0..1; each side leaves out at most (1 − level) / 2.
    """
    if n == 0:
        return 0.0, 1.0
    interval = binomtest(k, n).proportion_ci(level, method="exact")
    return float(interval.low), float(interval.high)


def upper_bound(k: int, n: int, level: float = 0.95) -> float:
    """The one-sided upper bound of a rate, 0..1: "below this with `level` confidence"; 1 for no images."""
    if n == 0:
        return 1.0
    return float(binomtest(k, n, alternative="less").proportion_ci(level, method="exact").high)


def images_needed(rate: float, level: float = 0.95) -> int:
    """The number of images without any error that the claim "below `rate`" needs: the least n with (1 − rate)ⁿ ≤ 1 −
    level.

    Args:
        rate: Above 0 and below 1.
    """
    exact = math.log(1 - level) / math.log1p(-rate)
    return math.ceil(exact - 1e-9)  # corrects a whole number that rounding raised
