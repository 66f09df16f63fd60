"""Draws the overlay: heat over the image at the image's own resolution, with outlined regions.

On the fixed scale the colour grows with the heat and the surface stays visible beneath it. Heat below `low` changes no
pixel, so a good part looks as it is. With `scale: image`, as in the article, each image has its own scale, and every
image shows some heat. An overlay must never hide what it explains: the caption avoids the regions, and is left out if
the picture is too small.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from inspectd.vision.regions import Region, strength

Picture = NDArray[np.uint8]
Contour = NDArray[np.int32]

_COLORMAPS = {
    "jet": cv2.COLORMAP_JET,
    "turbo": cv2.COLORMAP_TURBO,
    "inferno": cv2.COLORMAP_INFERNO,
    "viridis": cv2.COLORMAP_VIRIDIS,
}
_OPACITY = 0.55  # of full heat: a crack beneath it stays visible
_JPEG_SIDE = 65_500  # the longest side of a JPEG
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_WEIGHT = 500  # of the caption's letters: a little heavier than book type, to be legible on a dark strip


@dataclass(frozen=True)
class Style:
    """The style of overlays; the names are those of the configuration's `overlay` section."""

    format: Literal["jpeg", "png"] = "jpeg"
    colormap: Literal["jet", "turbo", "inferno", "viridis"] = "jet"
    scale: Literal["fixed", "image"] = "fixed"
    caption: bool = True


def draw(
    pixels: Picture,
    heat: NDArray[np.floating],
    low: float,
    high: float,
    regions: list[Region],
    caption: str | None,
    style: Style,
) -> Picture:
    """The overlay, uint8 (H, W, 3) RGB, the size of `pixels`, which are not changed.

    Args:
        pixels: uint8 (H, W, 3) RGB, as decoded.
        heat: float (h, w) of any size and range; NaN counts as cold.
        low: heat below which nothing is drawn.
        high: heat from which on the colour is full.
        regions: the result of `inspectd.vision.regions.regions` on the same heat and scale.
        caption: one line of text, cut to fit; None for no caption.
        style: colours and scale.
    """
    size = (pixels.shape[1], pixels.shape[0])
    fixed = _enlarge(strength(heat, low, high), size)
    if style.scale == "image":
        picture = _article(pixels, heat, style.colormap)
    else:
        picture = _blend(pixels, fixed, style.colormap)
    if regions:
        _outline(picture, fixed)
    if caption and style.caption:
        _write(picture, caption, regions)
    return picture


def encode(rgb: Picture, format: Literal["jpeg", "png"]) -> bytes:
    """The picture as a JPEG (quality 90) or PNG file. A side too long for JPEG is shrunk to 65,500 pixels."""
    if format == "jpeg" and max(rgb.shape) > _JPEG_SIDE:
        height, width = (min(side, _JPEG_SIDE) for side in rgb.shape[:2])
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    if format == "jpeg":
        _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])
    else:
        _, encoded = cv2.imencode(".png", bgr)
    return encoded.tobytes()


def _enlarge(small: NDArray[np.float32], size: tuple[int, int]) -> Picture:
    """Strength 0..1 as 0..255 at the image's size."""
    levels = np.rint(small * 255).astype(np.uint8)
    return np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _blend(pixels: Picture, levels: Picture, colormap: str) -> Picture:
    """The image with coloured heat over it; computes only the part with heat, which is usually small."""
    picture = pixels.copy()
    x, y, width, height = cv2.boundingRect(levels)
    if width:
        glow, keep = _tables(colormap)
        warm, under = levels[y : y + height, x : x + width], picture[y : y + height, x : x + width]
        shaded = cv2.applyColorMap(warm, keep)
        cv2.multiply(under, shaded, shaded, 1 / 255)
        cv2.add(shaded, cv2.applyColorMap(warm, glow), under)
    return picture


@lru_cache
def _tables(colormap: str) -> tuple[Picture, Picture]:
    """For each level 0..255, in RGB: the colour times its opacity, and 255 times the share of the surface."""
    steps = np.arange(256, dtype=np.uint8).reshape(256, 1)
    colours = cv2.applyColorMap(steps, _COLORMAPS[colormap])[..., ::-1].astype(np.float32)
    opacity = (_OPACITY * np.sqrt(steps / 255, dtype=np.float32))[..., np.newaxis]
    keep = np.broadcast_to(255 * (1 - opacity), colours.shape)
    return np.rint(colours * opacity).astype(np.uint8), np.rint(keep).astype(np.uint8)


def _article(pixels: Picture, heat: NDArray[np.floating], colormap: str) -> Picture:
    """Heat scaled to its own maximum and coloured, plus half the image."""
    finite = np.nan_to_num(heat.astype(np.float32), posinf=0.0, neginf=0.0)
    levels = _enlarge(strength(finite, 0.0, float(finite.max())), (pixels.shape[1], pixels.shape[0]))
    colours = cv2.cvtColor(cv2.applyColorMap(levels, _COLORMAPS[colormap]), cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.addWeighted(colours, 1.0, pixels, 0.5, 0.0), np.uint8)


def _outline(picture: Picture, levels: Picture) -> None:
    """Draws the contours at the midpoint, white within black, visible on any colour.

    A region too small to stay visible inside a line gets a frame at a distance.
    """
    long_side = max(levels.shape)
    line = max(1, round(long_side / 640))
    gap = 4 * line if long_side >= 256 else 2
    x, y, width, height = cv2.boundingRect(levels)
    hot = (levels[y : y + height, x : x + width] > 127).astype(np.uint8)
    contours, _ = cv2.findContours(hot, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(x, y))
    shapes = [_framed(np.asarray(contour, np.int32), gap, max(16, long_side // 40)) for contour in contours]
    if long_side >= 256:
        cv2.polylines(picture, shapes, True, _BLACK, 3 * line, cv2.LINE_AA)
    cv2.polylines(picture, shapes, True, _WHITE, line, cv2.LINE_AA)


def _framed(contour: Contour, gap: int, tiny: int) -> Contour:
    """The contour itself, or a frame around it if it is tiny."""
    x, y, width, height = cv2.boundingRect(contour)
    if max(width, height) >= tiny:
        return contour
    left, top, right, bottom = x - gap, y - gap, x + width - 1 + gap, y + height - 1 + gap
    return np.array([[[left, top]], [[right, top]], [[right, bottom]], [[left, bottom]]], np.int32)


def _write(picture: Picture, caption: str, regions: list[Region]) -> None:
    """One line of text on a darkened strip in a corner, clear of the regions; none if it would hide too much."""
    height, width = picture.shape[:2]
    font = cv2.FontFace("sans")
    size = max(10, round(min(width, height) / 32))
    text, text_width = _fit(caption, font, size, width - 2 * (size // 2))
    strip = (text_width + 2 * (size // 2), round(1.6 * size))
    if not text or 3 * strip[1] > height:
        return
    x, y = _clear_corner((width, height), strip, regions)
    under = picture[y : y + strip[1], x : x + strip[0]]
    under[:] = under // 4
    cv2.putText(picture, text, (x + size // 2, y + round(1.15 * size)), _WHITE, font, size, _WEIGHT)


def _fit(caption: str, font: cv2.FontFace, size: int, width: int) -> tuple[str, int]:
    """The part of the caption that fits into `width`, and its width; empty if fewer than four characters fit."""
    text = " ".join(caption[:200].split())
    for end in range(len(text), 3, -1):
        shown = text if end == len(text) else text[: end - 1].rstrip() + "…"
        shown_width = cv2.getTextSize((0, 0), shown, (0, 0), font, size, _WEIGHT)[2]
        if shown_width <= width:
            return shown, shown_width
    return "", 0


def _clear_corner(size: tuple[int, int], strip: tuple[int, int], regions: list[Region]) -> tuple[int, int]:
    """The strip's upper left corner: the first place, from the lower left on, that covers least of the regions."""
    right, bottom = size[0] - strip[0], size[1] - strip[1]

    def covered(corner: tuple[int, int]) -> int:
        x, y = corner
        return sum(
            max(0, min(x + strip[0], region.x + region.width) - max(x, region.x))
            * max(0, min(y + strip[1], region.y + region.height) - max(y, region.y))
            for region in regions
        )

    return min(((0, bottom), (0, 0), (right, bottom), (right, 0)), key=covered)
