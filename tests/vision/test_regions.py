"""Regions: the parts above the middle of the fixed scale, in the original image's pixels."""

import numpy as np
import pytest

from inspectd.vision.regions import Region, regions, strength

LOW, HIGH = 100.0, 300.0


def heat(*spots: tuple[slice, slice, float], shape: tuple[int, int] = (16, 16)) -> np.ndarray:
    values = np.zeros(shape, np.float32)
    for rows, columns, value in spots:
        values[rows, columns] = value
    return values


def test_strength_is_clipped_to_the_scale() -> None:
    values = np.array([[-np.inf, -5, 100, 200, 300, 9e9, np.inf, np.nan]], np.float32)
    np.testing.assert_array_equal(strength(values, LOW, HIGH), np.float32([[0, 0, 0, 0.5, 1, 1, 1, 0]]))


def test_a_scale_without_width_is_a_step() -> None:
    assert strength(np.array([[5.0, 5.1]]), 5.0, 5.0).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("level", [0.0, LOW, 200.0, np.nan, -np.inf])
def test_none_is_an_answer(level: float) -> None:
    assert regions(np.full((8, 8), level, np.float32), LOW, HIGH, (640, 480)) == []


def test_a_cell_that_enlarging_takes_below_the_middle_is_no_region() -> None:
    """Its middle falls between two pixels, and the heat of each is mixed with its colder neighbour's."""
    assert regions(heat((slice(4, 5), slice(8, 9), 201.0)), LOW, HIGH, (256, 256)) == []


def test_a_box_in_the_images_pixels() -> None:
    (region,) = regions(heat((slice(4, 8), slice(8, 10), 300.0)), LOW, HIGH, (1600, 800))
    assert region.peak == 1.0
    # The half-way line lies between a hot cell and its cold neighbour: on the edge of the cell.
    assert abs(region.x - 800) <= 2
    assert abs(region.y - 200) <= 2
    assert abs(region.width - 200) <= 4
    assert abs(region.height - 200) <= 4


def test_hottest_first_then_largest() -> None:
    found = regions(
        heat(
            (slice(1, 3), slice(1, 3), 260.0), (slice(6, 8), slice(6, 8), 900.0), (slice(10, 15), slice(10, 15), 301.0)
        ),
        LOW,
        HIGH,
        (320, 320),
    )
    assert [round(region.peak, 2) for region in found] == [1.0, 1.0, 0.8]
    assert found[0].width > found[1].width


def test_the_whole_image_and_never_beyond_it() -> None:
    assert regions(np.full((7, 7), 500.0), LOW, HIGH, (333, 77)) == [Region(0, 0, 333, 77, 1.0)]


def test_at_most_32() -> None:
    checks = np.zeros((40, 40), np.float32)
    checks[::3, ::3] = np.linspace(250, 300, 196).reshape(14, 14)
    found = regions(checks, LOW, HIGH, (400, 400))
    assert len(found) == 32
    assert min(region.peak for region in found) > 0.85  # of peaks from 0.75 to 1


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2), (20_000, 20_000)])
def test_any_size_keeps_a_single_hot_cell(size: tuple[int, int]) -> None:
    (region,) = regions(heat((slice(5, 6), slice(9, 10), 300.0)), LOW, HIGH, size)
    assert region.peak > 0.9
    assert region.width >= 1
    assert region.height >= 1
    assert 0 <= region.x <= size[0] - region.width
    assert 0 <= region.y <= size[1] - region.height


def test_infinite_heat_is_hot_and_no_number_is_cold() -> None:
    values = heat((slice(2, 4), slice(2, 4), np.inf), (slice(8, 12), slice(8, 12), np.nan))
    (region,) = regions(values, LOW, HIGH, (160, 160))
    assert (region.x < 40, region.peak) == (True, 1.0)
