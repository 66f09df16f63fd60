"""What a count of errors says of the rate behind it: exact binomial bounds, and how many images a claim needs.

C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
Biometrika 26 (1934), 404–413. Tables show two-sided intervals; a claim ("the escape rate is below …") is one-sided,
and its bound is the lower for it. The two are never mixed.
"""

import math

from scipy.stats import beta


def clopper_pearson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The two-sided interval for a rate of which `k` of `n` independent images gave evidence; (0, 1) for no images.

    Returns:
        Lower and upper limit, 0..1; each side leaves out at most (1 − level) / 2.
    """
    return _lower(k, n, (1 - level) / 2), _upper(k, n, (1 - level) / 2)


def upper_bound(k: int, n: int, level: float = 0.95) -> float:
    """The one-sided upper bound of a rate, 0..1: "below this with `level` confidence"; 1 for no images."""
    return _upper(k, n, 1 - level)


def images_needed(rate: float, level: float = 0.95) -> int:
    """How many images without a single error the claim "below `rate`" needs: the least n with (1 − rate)ⁿ ≤ 1 − level.

    Args:
        rate: Above 0 and below 1.
    """
    exact = math.log(1 - level) / math.log1p(-rate)
    return math.ceil(exact - 1e-9)  # a whole number that rounding lifted stays the number it is


def _lower(k: int, n: int, outside: float) -> float:
    return 0.0 if k == 0 else float(beta.ppf(outside, k, n - k + 1))


def _upper(k: int, n: int, outside: float) -> float:
    return 1.0 if k == n else float(beta.ppf(1 - outside, k + 1, n - k))
