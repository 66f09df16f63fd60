"""Masks among images are left out by name and content together; neither alone is enough."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from inspectd.dataset.masks import sort_out

SIDE = 20
MARKS = np.zeros((SIDE, SIDE), np.uint8)
MARKS[4:9, 5:16] = 255


def photograph(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(str(path)))
    path.write_bytes(cv2.imencode(path.suffix, rng.integers(90, 130, (SIDE, SIDE), np.uint8))[1].tobytes())


def mask(path: Path, pixels: np.ndarray = MARKS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def masks_of(root: Path) -> tuple[set[str], tuple[str, ...]]:
    """What is left out of a folder, and what is doubted."""
    found = sort_out(root, [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()])
    return set(found.masks), found.doubtful


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("crack/7.png", "crack/7_mask.png"),
        ("crack/7.jpg", "crack/7_label.PNG"),
        ("crack/part.7.front.png", "crack/part.7.front_GT.bmp"),
        ("crack/7.png", "crack/7-mask.tif"),
        ("crack/7.jpg", "crack/7.png"),
        ("crack/part.7.png", "crack/part.7.BMP"),
        ("crack/7.PNG", "crack/Label/0007_label.PNG"),
        ("crack/7.PNG", "crack/x/GT/y/anything.webp"),
        ("crack/7.png", "Ground_Truth/crack/7.png"),
        ("crack/7.png", "Masks/7.tiff"),
        ("crack/7.png", "crack_masks/7_mask.png"),
        ("crack/7.png", "crack/mask_7.png"),
        ("crack/7.png", "crack/7_segmentation.bmp"),
        ("crack/7.jpg", "Annotations/7.png"),
    ],
)
def test_every_name_of_a_mask(image: str, name: str, tmp_path: Path) -> None:
    photograph(tmp_path / image)
    mask(tmp_path / name)
    assert masks_of(tmp_path) == ({name}, ())


@pytest.mark.parametrize("name", ["crack/7_mask.png", "crack/7.jpg", "labels/9.png", "crack/gt/7.png"])
def test_a_photograph_with_such_a_name_stays_and_is_doubted(name: str, tmp_path: Path) -> None:
    photograph(tmp_path / "crack" / "7.png")
    photograph(tmp_path / name)
    left_out, doubtful = masks_of(tmp_path)
    assert (left_out, len(doubtful)) == (set(), 1)


def test_a_compressed_mask_has_many_levels_and_is_doubted(tmp_path: Path) -> None:
    photograph(tmp_path / "crack" / "7.png")
    mask(tmp_path / "crack" / "7_mask.jpg")
    assert masks_of(tmp_path) == (set(), ("crack/7_mask.jpg",))


def test_a_black_and_white_picture_without_a_partner_is_an_image(tmp_path: Path) -> None:
    for name in ("crack/7.png", "crack/print_gt.png", "crack/mask.png", "crack/gt_8.png", "crack/unmasked.png"):
        mask(tmp_path / name)
    assert masks_of(tmp_path) == (set(), ())


def test_of_two_that_both_look_like_masks_neither_goes(tmp_path: Path) -> None:
    mask(tmp_path / "crack" / "7.bmp")
    mask(tmp_path / "crack" / "7.png")
    assert masks_of(tmp_path) == (set(), ("crack/7.png",))


def test_levels_are_counted_as_deep_as_the_file(tmp_path: Path) -> None:
    """A camera's 10 bits in a 16-bit file are a photograph, though their upper bytes hold four values only."""
    photograph(tmp_path / "crack" / "7.jpg")
    camera = np.random.default_rng(1).integers(0, 1024, (SIDE, SIDE), np.uint16)
    mask(tmp_path / "crack" / "7.png", camera)
    assert masks_of(tmp_path) == (set(), ("crack/7.png",))


def _with_palette() -> Image.Image:
    picture = Image.fromarray((MARKS > 0).astype(np.uint8) * 2)
    picture.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 30])
    return picture


@pytest.mark.parametrize(
    ("picture", "ending"),
    [
        (Image.fromarray(MARKS > 0), ".png"),
        (Image.fromarray(MARKS > 0), ".tif"),
        (Image.fromarray(MARKS.astype(np.uint16) * 257), ".png"),
        (Image.fromarray(MARKS.astype(np.uint16) // 255), ".tif"),
        (_with_palette(), ".png"),
        (_with_palette(), ".bmp"),
        (_with_palette().convert("RGBA"), ".png"),
        (Image.merge("LA", (Image.fromarray(MARKS), Image.fromarray(255 - MARKS))), ".png"),
        (Image.fromarray((MARKS > 0).astype(np.float32)), ".tif"),
    ],
)
def test_every_kind_of_mask(picture: Image.Image, ending: str, tmp_path: Path) -> None:
    photograph(tmp_path / "crack" / "7.webp")
    picture.save(tmp_path / "crack" / f"7_gt{ending}")
    assert masks_of(tmp_path) == ({f"crack/7_gt{ending}"}, ())


def test_levels_up_to_four_and_no_more(tmp_path: Path) -> None:
    photograph(tmp_path / "crack" / "7.png")
    for count in (4, 5):
        mask(
            tmp_path / "crack" / f"7_{'mask' if count == 4 else 'gt'}.png",
            np.arange(SIDE * SIDE).reshape(SIDE, -1) % count,
        )
    assert masks_of(tmp_path) == ({"crack/7_mask.png"}, ("crack/7_gt.png",))


def test_what_cannot_be_read_is_no_mask_and_no_doubt(tmp_path: Path) -> None:
    photograph(tmp_path / "crack" / "7.png")
    (tmp_path / "crack" / "7_mask.png").write_text("no picture")
    assert masks_of(tmp_path) == (set(), ())
