"""Finds regions: the parts of an image that are hotter than the middle of the bundle's fixed scale.

The fixed scale makes the regions of different images comparable. An image may have no region, as a good part should.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from inspectd.domain import Region

__all__ = ["Region", "regions", "strength"]

Strength = NDArray[np.float32]

MIDPOINT = 0.5
_MOST = 32
# The long side of the grid on which regions are found: heat is coarse, so a finer grid would only cost time.
_GRID = 1024


def strength(heat: NDArray[np.floating], low: float, high: float) -> Strength:
    """Heat on the fixed scale: float32 0..1, 0 at `low` and below, 1 at `high` and above. NaN counts as cold."""
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = (heat.astype(np.float64) - low) / max(high - low, 1e-12)
    return np.clip(np.nan_to_num(scaled, nan=0.0), 0.0, 1.0).astype(np.float32)


def regions(heat: NDArray[np.floating], low: float, high: float, size: tuple[int, int]) -> list[Region]:
    """Connected parts (8 neighbours) of the enlarged heat above the midpoint, hottest first, then largest; at most 32.

    Args:
        heat: float (h, w), any range, from the network's layer.
        low: heat that counts as no heat.
        high: heat that counts as full heat.
        size: the original image's (width, height) in pixels.
    """
    small = strength(heat, low, high)
    if small.max() <= MIDPOINT:  # enlarging adds no heat
        return []
    grid = _grid(size, small.shape)
    large = _enlarged(small, grid)
    hot = (large > MIDPOINT).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(hot)  # labels only where there is heat: usually a small part
    if not width:  # a cell just above the midpoint, whose middle falls between the pixels of the grid
        return []
    hot, large = hot[y : y + height, x : x + width], large[y : y + height, x : x + width]
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
    peaks = np.zeros(count, np.float32)
    np.maximum.at(peaks, np.asarray(labels, np.int32)[hot > 0], large[hot > 0])
    areas = boxes[:, cv2.CC_STAT_AREA]
    order = sorted(range(1, count), key=lambda label: (-peaks[label], -areas[label]))
    boxes[:, :2] += (x, y)
    return [_region(boxes[label], float(peaks[label]), grid, size) for label in order[:_MOST]]


def hot_pixels(heat: NDArray[np.floating], low: float, high: float, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The places that lie in any region, bool on the grid on which `regions` finds them; arguments as there."""
    small = strength(heat, low, high)
    return _enlarged(small, _grid(size, small.shape)) > MIDPOINT


def _enlarged(small: Strength, size: tuple[int, int]) -> Strength:
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _grid(size: tuple[int, int], heat_shape: tuple[int, ...]) -> tuple[int, int]:
    """The grid's (width, height): the image's own, or bounded; never coarser than the heat, so that no peak is lost."""
    shrink = min(1.0, _GRID / max(size))
    return max(round(size[0] * shrink), heat_shape[1]), max(round(size[1] * shrink), heat_shape[0])


def _region(box: NDArray[np.int32], peak: float, grid: tuple[int, int], size: tuple[int, int]) -> Region:
    """A box on the grid as whole pixels of the image, rounded outwards."""
    x, y, width, height = (int(value) for value in box[:4])
    left, right = x * size[0] // grid[0], -(-(x + width) * size[0] // grid[0])
    top, bottom = y * size[1] // grid[1], -(-(y + height) * size[1] // grid[1])
    return Region(left, top, right - left, bottom - top, peak)
