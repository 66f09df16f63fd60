"""Converts the samples of a picture that Pillow has loaded to 8 bits; `deep` does so for 16-bit files."""

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile

from inspectd.vision.depth import to_8_bits
from inspectd.vision.errors import ADVICE, DecodeError
from inspectd.vision.header import white_is_zero
from inspectd.vision.wholeness import Kind


def samples_of(kind: Kind, image: ImageFile) -> NDArray[np.uint8]:
    """The samples as stored, uint8: (H, W) of a grey picture, (H, W, 3) RGB of any other.

    Raises:
        DecodeError: ``unsupported``: the values have no fixed scale.
    """
    mode = image.mode
    if mode == "L":
        return np.asarray(image)
    if mode in ("1", "LA"):
        return np.asarray(image.convert("L"))
    if mode == "La":
        return np.asarray(image.convert("LA").convert("L"))
    if mode in ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr"):
        return np.asarray(image if mode == "RGB" else image.convert("RGB"))
    if mode.startswith("I;16"):
        values = to_8_bits(np.asarray(image), 12)  # of 12 bits in the file itself
        return 255 - values if white_is_zero(image) else values
    if mode == "F":
        values = np.asarray(image)
        if not (values.min() >= 0 and values.max() <= 1):  # also false for NaN
            raise DecodeError("unsupported", "The float TIFF has values outside 0..1, which have no fixed scale.")
        scaled = np.rint(values * 255).astype(np.uint8)
        return 255 - scaled if white_is_zero(image) else scaled
    raise DecodeError("unsupported", f"{kind} with samples of type {mode!r} is not supported: {ADVICE}")
