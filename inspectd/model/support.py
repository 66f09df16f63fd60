"""Tests an explanation: erases the shown regions in the image and has the network judge it again.

If the verdict rests on the regions, most of the margin goes with them. As a control, the same shapes are erased at
another place of the image. The erased pixels take the colours of their surroundings, so that no new edge appears.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspectd.domain import Verdict
from inspectd.model.inspector import Finding, Inspector
from inspectd.model.spec import Spec
from inspectd.model.verdict import margin
from inspectd.vision.regions import hot_pixels

Mask = NDArray[np.bool_]
Values = NDArray[np.floating]

_GROWN = 0.02  # of the image's longer side: a defect's edge lies just outside the heat
_TRIES = 16  # places among which the control is chosen


@dataclass(frozen=True)
class Support:
    """How much of a rejection rests on the shown regions.

    Attributes:
        share: The part of the margin, counted from the median margin of good images, that goes with the regions.
            1: all of it; 0 or less: none.
        falls: Whether the image is no longer rejected without the regions.
        area: The erased share of the image, 0..1.
    """

    share: float
    falls: bool
    area: float


NONE = Support(0.0, falls=False, area=0.0)


def supports(
    inspector: Inspector, prepared: Sequence[NDArray[np.uint8]], findings: Sequence[Finding], *, elsewhere: bool = False
) -> list[Support | None]:
    """Judges rejected images again without their regions, in the inspector's own precision.

    Args:
        prepared: The images as `Inspector.prepare` returned them, uint8 (h, w, channels).
        findings: The inspector's findings on them.
        elsewhere: Erase the same shapes at another place, as a control.

    Returns:
        One for each image: 0 without a region; None if it is not rejected, or the bundle has no `good_margin`.
    """
    found: list[Support | None] = [None] * len(findings)
    masks: dict[int, Mask] = {}
    for index, (pixels, finding) in enumerate(zip(prepared, findings, strict=True)):
        if inspector.bundle.spec.good_margin is None or finding.verdict != Verdict.DEFECT:
            continue
        found[index] = NONE
        mask = shown(finding, pixels)
        if mask.any():
            masks[index] = _moved(mask) if elsewhere else mask
    erased = [erase(prepared[index], mask) for index, mask in masks.items()]
    again = inspector.inspect(erased) if erased else []
    for (index, mask), finding in zip(masks.items(), again, strict=True):
        found[index] = _support(inspector.bundle.spec, findings[index], finding, float(mask.mean()))
    return found


def shown(finding: Finding, pixels: NDArray[np.uint8]) -> Mask:
    """The pixels (h, w) of a prepared image that the regions cover, grown by 2 % of its longer side."""
    height, width = pixels.shape[:2]
    hot = hot_pixels(finding.heat, finding.scale.low, finding.scale.high, (width, height))
    reach = 2 * round(_GROWN * max(hot.shape)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    grown = cv2.dilate(hot.astype(np.uint8), kernel)
    return np.asarray(cv2.resize(grown, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8) > 0


def erase(pixels: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
    """The image, uint8 (h, w, channels), with the masked pixels interpolated from those around them.

    Coarser and coarser means of the known pixels fill the mask from its border inwards (push-pull interpolation,
    Gortler et al. 1996, "The lumigraph").
    """
    erased = pixels.copy()
    part = _around(mask)
    known = (~mask[part]).astype(np.float32)[..., None]
    values: Values = pixels[part].astype(np.float32) * known
    filled = np.clip(np.rint(_filled(values, known)), 0, 255).astype(np.uint8)
    erased[part][mask[part]] = filled[mask[part]]
    return erased


def _around(mask: Mask) -> tuple[slice, slice]:
    """The rows and columns of the mask, and as many again on each side."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return slice(max(0, y - height), y + 2 * height), slice(max(0, x - width), x + 2 * width)


def _filled(values: Values, weights: Values) -> Values:
    """Weighted values (h, w, c) and weights (h, w, 1) → values everywhere."""
    height, width = values.shape[:2]
    means = values / np.maximum(weights, 1e-6)
    if weights.min() > 0.5 or max(height, width) == 1:
        return means
    size = (max(1, (width + 1) // 2), max(1, (height + 1) // 2))
    halved = cv2.resize(np.concatenate([values, weights], axis=2), size, interpolation=cv2.INTER_AREA)
    coarse = _filled(np.asarray(halved[..., :-1], np.float32), np.asarray(halved[..., -1:], np.float32))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(values.shape)
    share = np.minimum(weights, 1.0)
    return np.asarray(means * share + smooth * (1 - share))


def _moved(mask: Mask) -> Mask:
    """The mask at the place where it overlaps least with itself, wrapped around at the borders."""
    rng = np.random.default_rng(0)
    places = [(int(rng.integers(mask.shape[0])), int(rng.integers(mask.shape[1]))) for _ in range(_TRIES)]
    rolled = [np.roll(mask, place, axis=(0, 1)) for place in places]
    return min(rolled, key=lambda each: int((each & mask).sum()))


def _support(spec: Spec, before: Finding, after: Finding, area: float) -> Support:
    assert spec.good_margin is not None
    was, remains = (margin(each.logits, spec.classes, spec.activation) for each in (before, after))
    if not math.isfinite(remains):
        return Support(0.0, falls=False, area=area)
    share = (was - remains) / max(was - spec.good_margin, 1e-9)
    return Support(share, after.verdict != Verdict.DEFECT, area)
