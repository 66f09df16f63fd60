"""Converts the samples of a 16-bit file to 8 bits, also if its values have fewer bits than the file.

Pillow has loaded the picture. If Pillow keeps only the upper bytes, OpenCV reads all bits, and its upper bytes must
equal Pillow's.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from inspectd.vision.depth import FULL, LEAST, bits_used, to_8_bits
from inspectd.vision.errors import DecodeError
from inspectd.vision.header import white_is_zero

_COLOUR = ("RGB", "RGBA", "RGBX", "LA", "CMYK")
_MAX_SAMPLE_VALUE = 281


def is_deep(image: ImageFile) -> bool:
    """Whether this module can read this picture from a 16-bit file."""
    return image.mode.startswith("I;16") or image.mode in _COLOUR


def read_deep(image: ImageFile, data: bytes, bits: int) -> tuple[NDArray[np.uint8], int | None]:
    """The samples, (H, W) grey or (H, W, 3) RGB, and the number of bits that the values use (`bits_used`).

    Args:
        image: The file with 16 bits a sample, loaded.
        data: Its bytes.
        bits: The number of bits of the values. A TIFF that states it overrides this, and then the second result is
            None.

    Raises:
        DecodeError: the values have fewer than 16 bits and the lower bytes cannot be read.
    """
    values = np.asarray(image) if image.mode.startswith("I;16") else None
    if values is None:
        upper = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
        brightest = int(upper.max())
        # The upper bytes suffice if the values fill the range.
        values = None if bits == FULL and brightest > 127 else _colours(image, data, upper)
        if values is None:
            if bits == FULL:
                return upper, 8 + brightest.bit_length()
            raise DecodeError(
                "unsupported",
                f"Of this kind of 16-bit {image.format} values of {bits} bits cannot be read: save it as 8-bit RGB.",
            )
    used, declared = bits_used(values), _declared_bits(image)
    is_declared = declared is not None and used <= declared  # a brighter value proves the tag wrong
    samples = to_8_bits(values, declared if declared is not None and is_declared else bits)
    is_inverted = values.ndim == 2 and white_is_zero(image)
    return 255 - samples if is_inverted else samples, None if is_declared else used


def _declared_bits(image: ImageFile) -> int | None:
    """The bits that a TIFF states: a MaxSampleValue of 2ⁿ − 1. Another value is this picture's own maximum.

    65535 is the default of the tag, so it states nothing.
    """
    stated = image.tag_v2.get(_MAX_SAMPLE_VALUE) if isinstance(image, TiffImageFile) else None
    if stated is None:
        return None
    most = int(np.max(stated))
    return most.bit_length() if (1 << LEAST) - 1 <= most < (1 << FULL) - 1 and most & (most + 1) == 0 else None


def _colours(image: ImageFile, data: bytes, upper: NDArray[np.uint8]) -> NDArray[np.uint16] | None:
    """All 16 bits, (H, W, 3) RGB; None if OpenCV's upper bytes differ from Pillow's `upper`."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    page = image.tell()
    _, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), flags, range=(page, page + 1))
    if not pages or pages[0].dtype != np.uint16:
        return None
    values = np.asarray(pages[0], np.uint16)[..., ::-1]
    return values if values.shape == upper.shape and np.array_equal(values >> 8, upper) else None
