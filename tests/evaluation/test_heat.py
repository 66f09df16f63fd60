"""Heat against a mask: the hottest point, what lies inside, what a region touches."""

import math

import numpy as np
import pytest

from inspectd.evaluation.heat import OnMask, on_mask, peak, warmth
from inspectd.model.spec import HeatScale

SCALE = HeatScale(1.0, 3.0)


def heat(*spots: tuple[int, int, float]) -> np.ndarray:
    values = np.zeros((4, 4), np.float32)
    for row, column, value in spots:
        values[row, column] = value
    return values


def mask(rows: slice, columns: slice) -> np.ndarray:
    marked = np.zeros((80, 160), np.bool_)
    marked[rows, columns] = True
    return marked


def test_the_peak_is_the_middle_of_the_hottest_cell_in_the_images_pixels() -> None:
    assert peak(heat((1, 2, 5.0)), (80, 160)) == (30, 100)


def test_on_the_defect() -> None:
    found = on_mask(heat((1, 2, 5.0)), SCALE, mask(slice(20, 40), slice(80, 120)))
    assert found == OnMask(distance=0.0, inside=1.0, touched=True)


def test_the_distance_is_in_pixels_of_the_image() -> None:
    found = on_mask(heat((1, 2, 5.0)), SCALE, mask(slice(30, 40), slice(112, 120)))
    assert found.distance == 12.0


def test_half_of_the_heat_is_inside_when_half_of_its_cell_is() -> None:
    found = on_mask(heat((1, 2, 5.0)), SCALE, mask(slice(20, 40), slice(80, 100)))
    assert found.inside == pytest.approx(0.5)
    found = on_mask(heat((1, 2, 3.0), (3, 0, 1.0)), SCALE, mask(slice(20, 40), slice(80, 120)))
    assert found.inside == pytest.approx(0.75)


def test_heat_below_the_midpoint_is_no_region() -> None:
    assert not on_mask(heat((1, 2, 1.9)), SCALE, mask(slice(20, 40), slice(80, 120))).touched


def test_a_region_elsewhere_touches_nothing() -> None:
    found = on_mask(heat((1, 2, 5.0)), SCALE, mask(slice(70, 80), slice(0, 10)))
    assert not found.touched
    assert found.inside == 0.0


@pytest.mark.parametrize("level", [0.0, np.nan])
def test_without_heat_nothing_is_hit(level: float) -> None:
    found = on_mask(np.full((4, 4), level, np.float32), SCALE, mask(slice(0, 80), slice(0, 160)))
    assert found == OnMask(math.inf, 0.0, False)


def test_warmth_is_comparable_between_scales() -> None:
    assert (warmth(1.0, SCALE), warmth(3.0, SCALE), warmth(5.0, HeatScale(4.0, 6.0))) == (0.0, 1.0, 0.5)
