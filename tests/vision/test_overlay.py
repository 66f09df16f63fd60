"""Overlays: the surface stays as it is without heat and visible under it; what is drawn is where it should be."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from inspectd.config import OverlaySettings
from inspectd.vision.overlay import Style, draw, encode
from inspectd.vision.regions import Region, regions

LOW, HIGH = 10.0, 20.0
SILENT = Style(caption=False)
SURFACE = np.random.default_rng(3).integers(60, 200, (300, 400, 3), dtype=np.uint8)


def spot(rows: slice, columns: slice, value: float = 20.0) -> np.ndarray:
    heat = np.zeros((30, 40), np.float32)
    heat[rows, columns] = value
    return heat


def found(heat: np.ndarray, pixels: np.ndarray) -> list[Region]:
    return regions(heat, LOW, HIGH, (pixels.shape[1], pixels.shape[0]))


def test_below_low_not_one_pixel_changes() -> None:
    for level in (LOW, -5.0, np.nan):
        picture = draw(SURFACE, np.full((7, 7), level), LOW, HIGH, [], None, Style())
        np.testing.assert_array_equal(picture, SURFACE)
        assert picture is not SURFACE


def test_heat_colours_its_place_only_and_leaves_the_surface_visible() -> None:
    heat = spot(slice(10, 20), slice(10, 20))
    before = SURFACE.copy()
    picture = draw(SURFACE, heat, LOW, HIGH, [], None, SILENT)
    np.testing.assert_array_equal(SURFACE, before)
    inside, outside = (slice(110, 190), slice(110, 190)), (slice(0, 300), slice(230, 400))
    np.testing.assert_array_equal(picture[outside], SURFACE[outside])
    red, green, blue = (picture[inside][..., channel].mean() for channel in range(3))
    assert red > green + 60  # jet at its hottest is red, also in this order of channels
    assert red > blue + 60
    assert np.corrcoef(picture[inside][..., 1].ravel(), SURFACE[inside][..., 1].ravel())[0, 1] > 0.99


def test_colour_grows_with_strength() -> None:
    changes = [
        np.abs(draw(SURFACE, np.full((3, 4), level), LOW, HIGH, [], None, SILENT).astype(int) - SURFACE).mean()
        for level in (10, 11, 14, 20)
    ]
    assert changes == sorted(changes)
    assert changes[0] == 0
    assert len(set(changes)) == 4
    fullest = draw(SURFACE, np.full((3, 4), 20.0), LOW, HIGH, [], None, SILENT)
    hotter = draw(SURFACE, np.full((3, 4), np.inf), LOW, HIGH, [], None, SILENT)
    np.testing.assert_array_equal(fullest, hotter)


def test_regions_are_outlined_in_white() -> None:
    heat = spot(slice(10, 20), slice(10, 20))
    picture = draw(SURFACE, heat, LOW, HIGH, found(heat, SURFACE), None, SILENT)
    edge = picture[150, 95:106].astype(int).sum(axis=1)
    assert edge.max() >= 3 * 220
    assert edge.min() <= 3 * 20
    plain = draw(SURFACE, heat, LOW, HIGH, [], None, SILENT)
    np.testing.assert_array_equal(picture[120:180, 120:180], plain[120:180, 120:180])


def test_a_tiny_region_is_framed_and_not_covered() -> None:
    heat = np.zeros((200, 200), np.float32)
    heat[100, 100] = 20.0
    pixels = np.full((800, 800, 3), 90, np.uint8)
    picture = draw(pixels, heat, LOW, HIGH, found(heat, pixels), None, SILENT)
    white = np.argwhere((picture >= 220).all(axis=2))
    assert (white.min(axis=0) < 398).all()
    assert (white.max(axis=0) > 406).all()
    np.testing.assert_array_equal(
        picture[400:404, 400:404], draw(pixels, heat, LOW, HIGH, [], None, SILENT)[400:404, 400:404]
    )


def test_the_articles_scale() -> None:
    heat = np.linspace(-3, 1, 12, dtype=np.float32).reshape(3, 4)  # all of it far below the fixed scale
    pixels = np.full((3, 4, 3), 101, np.uint8)
    picture = draw(pixels, heat, LOW, HIGH, [], None, Style(scale="image", caption=False))
    levels = np.rint(np.maximum(heat, 0) * 255).astype(np.uint8)
    jet = cv2.applyColorMap(levels, cv2.COLORMAP_JET)[..., ::-1].astype(int)
    assert np.abs(np.minimum(jet + 50.5, 255) - picture).max() <= 1
    for nothing in (np.zeros((3, 4)), np.full((3, 4), np.nan), np.full((3, 4), np.inf)):
        assert draw(pixels, nothing, LOW, HIGH, [], None, Style(scale="image")).shape == pixels.shape


def test_colour_maps_differ() -> None:
    heat = spot(slice(5, 25), slice(5, 35))
    pictures = [
        draw(SURFACE, heat, LOW, HIGH, [], None, Style(colormap=name))
        for name in ("jet", "turbo", "inferno", "viridis")
    ]
    assert len({picture.tobytes() for picture in pictures}) == 4


def test_the_caption_can_be_turned_off_and_stays_in_its_corner() -> None:
    cold = np.zeros((4, 4))
    np.testing.assert_array_equal(draw(SURFACE, cold, LOW, HIGH, [], "OK 0.02", SILENT), SURFACE)
    picture = draw(SURFACE, cold, LOW, HIGH, [], "OK 0.02", Style())
    changed = np.argwhere((picture != SURFACE).any(axis=2))
    assert changed.min(axis=0)[0] > 270
    assert changed.max(axis=0)[1] < 100
    assert (picture == 255).all(axis=2).any()


def test_the_caption_makes_way_for_regions() -> None:
    heat = spot(slice(20, 30), slice(0, 40))
    picture = draw(SURFACE, heat, LOW, HIGH, found(heat, SURFACE), "NG crack 0.99", Style())
    np.testing.assert_array_equal(picture[60:180], SURFACE[60:180])
    assert (picture[:30, :60] != SURFACE[:30, :60]).any()
    np.testing.assert_array_equal(
        picture[200:], draw(SURFACE, heat, LOW, HIGH, found(heat, SURFACE), None, SILENT)[200:]
    )


@pytest.mark.parametrize("caption", ["NG " + "very long " * 50, "Riß 0.98 – 裂纹 ≥ 1\nnext line", "   "])
def test_any_caption_fits(caption: str) -> None:
    picture = draw(SURFACE, np.zeros((4, 4)), LOW, HIGH, [], caption, Style())
    assert picture.shape == SURFACE.shape
    np.testing.assert_array_equal(picture[:250], SURFACE[:250])


@pytest.mark.parametrize("height_width", [(1, 1), (1, 5000), (5000, 1), (2, 3), (31, 40), (64, 64), (3648, 5472)])
@pytest.mark.parametrize("scale", ["fixed", "image"])
def test_any_size(height_width: tuple[int, int], scale: str) -> None:
    pixels = np.full((*height_width, 3), 120, np.uint8)
    heat = spot(slice(10, 14), slice(10, 14))
    picture = draw(pixels, heat, LOW, HIGH, found(heat, pixels), "NG crack 0.987", Style(scale=scale))
    assert (picture.shape, picture.dtype) == (pixels.shape, np.uint8)
    if min(height_width) < 40 and scale == "fixed":  # too small for a caption that leaves a view
        silent = draw(pixels, heat, LOW, HIGH, found(heat, pixels), None, SILENT)
        np.testing.assert_array_equal(picture, silent)


def test_read_only_pixels_are_enough() -> None:
    frozen = SURFACE.copy()
    frozen.flags.writeable = False
    heat = spot(slice(10, 20), slice(10, 20))
    assert draw(frozen, heat, LOW, HIGH, found(heat, frozen), "NG 0.9", Style()).flags.writeable


@pytest.mark.parametrize(("name", "kind"), [("jpeg", "JPEG"), ("png", "PNG")])
def test_encoded_files_are_what_they_say(name: str, kind: str) -> None:
    smooth = np.dstack([np.full((40, 60), value, np.uint8) for value in (200, 100, 30)])
    image = Image.open(io.BytesIO(encode(smooth, name)))
    assert (image.format, image.size) == (kind, (60, 40))
    assert np.abs(np.asarray(image).astype(int) - smooth).max() <= (0 if kind == "PNG" else 3)


def test_a_line_too_long_for_jpeg_is_shrunk() -> None:
    line = np.full((70_000, 2, 3), 99, np.uint8)
    assert Image.open(io.BytesIO(encode(line, "jpeg"))).size == (2, 65_500)
    assert Image.open(io.BytesIO(encode(line, "png"))).size == (2, 70_000)


def test_styles_are_the_configurations() -> None:
    configured = OverlaySettings().model_dump(exclude={"write"})
    assert Style(**configured) == Style()
