"""The pictures of a simulation: as many as are asked for, each with bytes of its own.

A few base pictures are used in turns, and a number is appended to the bytes of each. No decoder looks behind the end
of an image, so the picture stays the same and its sha256 does not.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2

from inspectd.config.globs import IMAGE_ENDINGS
from inspectd.dataset.walk import is_shown
from inspectd.domain import MOST_PIXELS
from inspectd.errors import InspectdError
from inspectd.rehearsal.textures import SIZE, texture
from inspectd.vision.decode import DecodeError, decode

TILE = 64  # pixels, both ways: small, because the files and not the pictures are what is tested
TEXTURES = 8

Base = tuple[str, bytes]  # the file's ending, its content


class Album:
    """Base pictures, and the numbered contents made of them."""

    def __init__(self, bases: Sequence[Base]) -> None:
        self._bases = bases

    def __len__(self) -> int:
        """How many pictures are different."""
        return len(self._bases)

    def picture(self, number: int) -> Base:
        """The content number `number`: a whole image."""
        suffix, data = self._bases[number % len(self._bases)]
        return suffix, data + f"\n{number:08d}".encode()

    def truncated(self, number: int) -> Base:
        """The first half of a picture: no whole image, whatever a lenient decoder makes of it."""
        suffix, data = self._bases[number % len(self._bases)]
        return suffix, data[: len(data) // 2] + f"\n{number:08d}".encode()

    def no_image(self, number: int) -> Base:
        """A text under an image's name."""
        return ".png", f"The camera's memory card is full.\n{number:08d}".encode()


def own_album(seed: int) -> Album:
    """Tiles of synthetic surfaces; some are darker than mid-grey, some brighter."""
    tiles = []
    for index in range(TEXTURES):
        pixels = texture(seed, index, defect=False).pixels
        for row in range(0, SIZE, TILE):
            tiles += [pixels[row : row + TILE, column : column + TILE] for column in range(0, SIZE, TILE)]
    return Album([(".png", cv2.imencode(".png", tile)[1].tobytes()) for tile in tiles])


def album_of(folder: Path, most: int | None = None) -> Album:
    """The images of a folder, or the first `most` of them by name; the folder is only read.

    Raises:
        InspectdError: there is none, or one of them is no whole image.
    """
    if not folder.is_dir():
        raise InspectdError(f"{folder} is no folder: name one with images in it.")
    named = (path for path in folder.iterdir() if is_shown(path.name) and path.suffix.lower() in IMAGE_ENDINGS)
    files = sorted(path for path in named if path.is_file())[:most]
    bases = [(path.suffix, path.read_bytes()) for path in files]
    if not bases:
        raise InspectdError(f"{folder} holds no images ({', '.join(IMAGE_ENDINGS)}): name a folder that does.")
    for path, (_, data) in zip(files, bases, strict=True):
        try:
            decode(data, MOST_PIXELS)
        except DecodeError as error:
            raise InspectdError(f"{path} cannot serve as a whole image: {error.without_limits(MOST_PIXELS)}") from None
    return Album(bases)
