"""Cuts a large image into overlapping tiles, and joins the heat of the tiles. Pure geometry.

Tiles have the network's input size at the image's own resolution, so a small defect keeps its size in pixels. Each
pixel of the image is in at least one tile.
"""

import numpy as np
from numpy.typing import NDArray

from inspectd.vision.heat import block_maxima

MOST_CELLS = 2048  # a side of the joined heat: the time of all later steps grows with its size

Place = tuple[int, int]  # a tile's upper left corner: row, column
Heat = NDArray[np.float32]


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """The first pixels of the tiles along a side of `length` ≥ `tile` pixels; neighbours share `overlap` pixels.

    The last tile ends at the image's border and may share more.
    """
    return [*range(0, length - tile, tile - overlap), length - tile]


class Mosaic:
    """One image, cut into tiles.

    An image smaller than a tile is extended by its mirror image to the right and below; heat there is cut off.

    Args:
        image: uint8 (H, W, c), of any size. It is not copied unless it is smaller than a tile.
        tile: height and width of a tile.
        overlap: Pixels that neighbours share; less than the tile's height and width.
    """

    def __init__(self, image: NDArray[np.uint8], tile: tuple[int, int], overlap: int) -> None:
        self._size = image.shape[:2]
        self._tile = tile
        self._image = _continued(image, tile)
        rows, columns = (starts(self._image.shape[axis], tile[axis], overlap) for axis in (0, 1))
        self.places: list[Place] = [(row, column) for row in rows for column in columns]
        self._canvas: Heat | None = None
        self._cells = (0, 0)  # of one tile

    def tile(self, place: Place) -> NDArray[np.uint8]:
        """The pixels (height, width, c) of the tile at `place`, as a view of the image."""
        (row, column), (height, width) = place, self._tile
        return self._image[row : row + height, column : column + width]

    def put(self, place: Place, heat: Heat) -> None:
        """Adds the heat (h, w) of the tile at `place`, always of one shape. In overlaps the hotter cell counts.

        Positions are rounded to half a cell, which is finer than the resolution of the heat.
        """
        known = np.nan_to_num(heat, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        known = block_maxima(known, *map(_block, self._span(self._image.shape, heat.shape), heat.shape))
        if self._canvas is None:
            self._cells = known.shape[0], known.shape[1]
            self._canvas = np.full(self._span(self._image.shape, self._cells), -np.inf, np.float32)
        rows, columns = self._cells
        top, left = self._span(place, self._cells)
        top, left = min(top, self._canvas.shape[0] - rows), min(left, self._canvas.shape[1] - columns)
        under = self._canvas[top : top + rows, left : left + columns]
        np.maximum(under, known, out=under)

    def heat(self) -> Heat:
        """The heat of the whole image after all tiles were added, in cells of tile heat; −∞ where no tile had a number.

        If a side had more than 2048 cells, each cell of the result is the maximum of a block.
        """
        assert self._canvas is not None, "no tile was added yet"
        rows, columns = self._span(self._size, self._cells)
        return self._canvas[: max(rows, 1), : max(columns, 1)]

    def _span(self, pixels: tuple[int, ...], cells: tuple[int, ...]) -> tuple[int, int]:
        """Converts rows and columns of pixels into cells, of which a tile has `cells`."""
        return round(pixels[0] * cells[0] / self._tile[0]), round(pixels[1] * cells[1] / self._tile[1])


def _block(span: int, cells: int) -> int:
    """The block size that makes a side of `span` cells short enough; it divides a tile's `cells`."""
    least = -(-span // MOST_CELLS)
    return next((block for block in range(least, cells) if cells % block == 0), cells)


def _continued(image: NDArray[np.uint8], tile: tuple[int, int]) -> NDArray[np.uint8]:
    below, right = max(0, tile[0] - image.shape[0]), max(0, tile[1] - image.shape[1])
    if not below and not right:
        return image
    return np.pad(image, ((0, below), (0, right), (0, 0)), mode="reflect")
