"""Measures whether the heat lies on the defect. Pure arithmetic on one image's heat and mask.

The pointing game is that of J. Zhang et al., "Top-down neural attention by excitation backprop" (ECCV 2016,
arXiv:1608.00507), and so is its tolerance of 15 pixels: a hit is a hottest point that lies in the mask, or near it.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspectd.model.spec import HeatScale
from inspectd.vision.regions import MIDPOINT, strength

NEAR = 15.0  # pixels of the original image


@dataclass(frozen=True)
class OnMask:
    """The position of the heat of one defect.

    Attributes:
        distance: The distance from the hottest point to the mask, in pixels of the image; 0 within it, infinite without
            heat.
        inside: The share of all heat that lies within the mask, 0..1.
        touched: Whether some part of a region lies on the mask.
    """

    distance: float
    inside: float
    touched: bool


def on_mask(heat: NDArray[np.float32], scale: HeatScale, mask: NDArray[np.bool_]) -> OnMask:
    """Compares heat (h, w) of the whole image with the image's mask (H, W), which is not empty."""
    total = float(heat.sum(dtype=np.float64))
    if not total > 0:
        return OnMask(math.inf, 0.0, False)
    coverage = _shrink(mask, heat.shape)
    inside = float((heat * coverage).sum(dtype=np.float64)) / total
    return OnMask(_distance(peak(heat, mask.shape), mask), min(inside, 1.0), _touches(heat, scale, mask))


def peak(heat: NDArray[np.float32], shape: tuple[int, ...]) -> tuple[int, int]:
    """Row and column, in an image of `shape`, of the middle of the hottest cell."""
    row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
    return int((row + 0.5) * shape[0] / heat.shape[0]), int((column + 0.5) * shape[1] / heat.shape[1])


def warmth(heat_max: float, scale: HeatScale) -> float:
    """A heat maximum on its fixed scale, where 0 is `low` and 1 is `high`; comparable between classes."""
    return (heat_max - scale.low) / (scale.high - scale.low)


def _distance(point: tuple[int, int], mask: NDArray[np.bool_]) -> float:
    rows, columns = np.nonzero(mask)
    return float(np.hypot(rows - point[0], columns - point[1]).min())


def _shrink(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The share of the mask in each cell of the heat, 0..1."""
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)


def _touches(heat: NDArray[np.float32], scale: HeatScale, mask: NDArray[np.bool_]) -> bool:
    """The regions that the overlay outlines: the enlarged heat above the midpoint of the scale."""
    levels = np.rint(255 * strength(heat, scale.low, scale.high)).astype(np.uint8)
    large = cv2.resize(levels, (mask.shape[1], mask.shape[0]), interpolation=cv2.INTER_LINEAR)
    return bool((np.asarray(large)[mask] > 255 * MIDPOINT).any())
