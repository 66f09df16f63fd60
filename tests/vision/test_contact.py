"""The contact sheet: every tile whole, and no taller than its pictures."""

import numpy as np
import pytest

from inspectd.vision.contact import GAP, HEADER, LIGHT, TEXT, TILE, Tile, contact_sheet


def tile(width: int, height: int) -> Tile:
    return Tile(np.full((height, width, 3), (200, 0, 0), np.uint8), "title", "note", (0, 200, 0))


@pytest.mark.parametrize(
    ("sizes", "height", "rows"),
    [
        ([(256, 256)], 256, 1),
        ([(1024, 256)] * 3, 64, 2),
        ([(1024, 256), (30, 40)], 64, 1),
        ([(9, 4000)], 256, 1),
        ([], 0, 0),
    ],
)
def test_is_as_tall_as_its_pictures(sizes: list[tuple[int, int]], height: int, rows: int) -> None:
    sheet = contact_sheet("A", "B", [tile(*size) for size in sizes], columns=2, look=LIGHT)
    columns = max(1, min(2, len(sizes)))
    assert sheet.shape == (HEADER + rows * (height + TEXT + GAP), GAP + columns * (TILE + GAP), 3)
    red = (sheet == (200, 0, 0)).all(axis=2).sum()
    shown = [min(1.0, TILE / max(size)) for size in sizes]
    assert red == sum(max(1, round(w * s)) * max(1, round(h * s)) for (w, h), s in zip(sizes, shown, strict=True))
