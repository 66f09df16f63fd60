"""Draws the contact sheet: many overlays on one picture, each with two lines of text below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]


class Look(NamedTuple):
    """The colours of a sheet, RGB."""

    paper: Colour
    ink: Colour
    faint: Colour


DARK = Look((24, 27, 31), (236, 239, 243), (150, 158, 168))
LIGHT = Look((255, 255, 255), (27, 36, 48), (100, 111, 124))  # for paper

TILE = 256  # pixels, both ways; pictures are fitted in
GAP = 16
TEXT = 46  # height of the two lines
HEADER = 64


@dataclass(frozen=True)
class Tile:
    """One tile of the sheet: `picture` is uint8 (H, W, 3) RGB, `colour` that of the bar beside the title."""

    picture: Picture
    title: str
    note: str
    colour: Colour


def contact_sheet(title: str, note: str, tiles: Sequence[Tile], columns: int = 5, look: Look = DARK) -> Picture:
    """The tiles row by row under a headline, uint8 (H, W, 3) RGB. Lines too long for their tile are cut."""
    columns = max(1, min(columns, len(tiles)))
    rows = -(-len(tiles) // columns)
    width, height = GAP + columns * (TILE + GAP), max((_fitted(tile.picture)[1] for tile in tiles), default=0)
    sheet = np.full((HEADER + rows * (height + TEXT + GAP), width, 3), look.paper, np.uint8)
    _write(sheet, title, (GAP, 28), 20, look.ink, 700)
    _write(sheet, note, (GAP, 50), 14, look.faint)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        left, top = GAP + column * (TILE + GAP), HEADER + row * (height + TEXT + GAP)
        cell = sheet[top : top + height + TEXT, left : left + TILE]
        _place(cell[:height], tile.picture)
        cell[height + 8 : height + TEXT - 4, :4] = tile.colour
        _write(cell, tile.title, (12, height + 22), 15, look.ink, 600)
        _write(cell, tile.note, (12, height + 40), 13, look.faint)
    return sheet


def _fitted(picture: Picture) -> tuple[int, int]:
    """The displayed width and height: a picture larger than a tile shrinks in proportion."""
    scale = min(1.0, TILE / max(picture.shape[:2]))
    return max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))


def _place(cell: Picture, picture: Picture) -> None:
    """The picture in the middle of its cell."""
    width, height = _fitted(picture)
    x, y = (TILE - width) // 2, (cell.shape[0] - height) // 2
    cell[y : y + height, x : x + width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def _write(on: Picture, text: str, at: tuple[int, int], size: int, colour: Colour, weight: int = 400) -> None:
    """One line of text; `at` is the left end of its base line. The picture's edge cuts what does not fit."""
    line = np.ascontiguousarray(on)
    cv2.putText(line, text, at, colour, cv2.FontFace("sans"), size, weight)
    on[:] = line
