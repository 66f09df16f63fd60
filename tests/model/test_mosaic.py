"""Large images in tiles: every place is seen, and the heat comes to lie where it belongs."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inspectd.model.mosaic import MOST_CELLS, Mosaic, starts


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(9).integers(0, 256, (height, width, 1), np.uint8)


def cells(image: np.ndarray, size: int) -> np.ndarray:
    """Heat as some network might give it: the mean of each `size` × `size` block of a tile."""
    height, width = image.shape[:2]
    return image.reshape(height // size, size, width // size, size).mean(axis=(1, 3)).astype(np.float32)


def stitched(mosaic: Mosaic, size: int) -> np.ndarray:
    for place in mosaic.places:
        mosaic.put(place, cells(mosaic.tile(place), size))
    return mosaic.heat()


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "wanted"),
    [(100, 100, 10, [0]), (101, 100, 10, [0, 1]), (190, 100, 10, [0, 90]), (250, 100, 20, [0, 80, 150])],
)
def test_tiles_begin(length: int, tile: int, overlap: int, wanted: list[int]) -> None:
    assert starts(length, tile, overlap) == wanted


@given(tile=st.integers(8, 60), beyond=st.integers(0, 500), share=st.floats(0, 0.5))
@example(tile=8, beyond=0, share=0.5)
def test_tiles_cover_a_side_and_overlap(tile: int, beyond: int, share: float) -> None:
    length, overlap = tile + beyond, int(tile * share)
    found = starts(length, tile, overlap)
    assert (found[0], found[-1] + tile) == (0, length)
    assert all(overlap <= left + tile - right < tile for left, right in pairwise(found))


class TestMosaic:
    def test_the_tiles_are_the_images_own_pixels(self) -> None:
        image = picture(100, 150)
        mosaic = Mosaic(image, (48, 64), 16)
        assert mosaic.places == [(row, column) for row in (0, 32, 52) for column in (0, 48, 86)]
        for row, column in mosaic.places:
            assert np.array_equal(mosaic.tile((row, column)), image[row : row + 48, column : column + 64])
            assert np.shares_memory(mosaic.tile((row, column)), image)

    def test_the_heat_of_the_tiles_is_that_of_the_image(self) -> None:
        image = picture(96, 160)
        assert np.array_equal(stitched(Mosaic(image, (64, 64), 32), 8), cells(image, 8))

    def test_where_tiles_overlap_the_hotter_one_counts(self) -> None:
        mosaic = Mosaic(picture(64, 96), (64, 64), 32)
        left, right = (0, 0), (0, 32)
        mosaic.put(left, np.full((8, 8), 1.0, np.float32))
        mosaic.put(right, np.full((8, 8), 2.0, np.float32))
        assert mosaic.heat()[0].tolist() == [1.0] * 4 + [2.0] * 8

    def test_heat_that_is_no_number_gives_way(self) -> None:
        mosaic = Mosaic(picture(64, 96), (64, 64), 32)
        mosaic.put((0, 0), np.full((8, 8), 1.0, np.float32))
        mosaic.put((0, 32), np.full((8, 8), np.nan, np.float32))
        assert mosaic.heat()[0].tolist() == [1.0] * 8 + [-np.inf] * 4

    @pytest.mark.parametrize("spot", [(3, 5), (50, 80), (99, 149), (97, 2), (60, 120)])
    def test_a_hot_spot_is_found_within_a_cell_wherever_the_tiles_lie(self, spot: tuple[int, int]) -> None:
        image = np.zeros((100, 150, 1), np.uint8)
        image[spot] = 255
        heat = stitched(Mosaic(image, (64, 64), 10), 8)
        row, column = np.unravel_index(int(heat.argmax()), heat.shape)
        middle = (row + 0.5) * 100 / heat.shape[0], (column + 0.5) * 150 / heat.shape[1]
        assert np.abs(np.subtract(middle, spot)).max() <= 8

    def test_an_image_smaller_than_a_tile_is_continued_by_its_mirror_image(self) -> None:
        image = picture(40, 24)
        mosaic = Mosaic(image, (64, 64), 16)
        assert mosaic.places == [(0, 0)]
        tile = mosaic.tile((0, 0))
        assert np.array_equal(tile[:40, :24], image)
        assert np.array_equal(tile[40:, :24], image[15:39][::-1])
        assert np.array_equal(stitched(mosaic, 8), cells(image, 8))

    def test_of_a_single_pixel(self) -> None:
        assert stitched(Mosaic(picture(1, 1), (64, 64), 16), 8).shape == (1, 1)

    def test_the_heat_of_a_huge_image_is_bounded_and_keeps_its_peaks(self) -> None:
        image = np.zeros((64, 20_000, 1), np.uint8)
        image[40, 12_345] = 255
        heat = stitched(Mosaic(image, (64, 64), 16), 1)
        assert max(heat.shape) <= MOST_CELLS
        assert heat.max() == 255
        assert heat.argmax() % heat.shape[1] == pytest.approx(12_345 * heat.shape[1] / 20_000, abs=1.5)
