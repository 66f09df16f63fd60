"""Bytes become pixels: PNG, JPEG, BMP, TIFF and WebP, and nothing else.

Pillow decodes, behind three guards of our own: the header's size is compared with the limit before any pixel memory is
spent, `wholeness` proves that the file is all there, and whatever a decoder raises becomes a `DecodeError` of that one
file. Must never hand out half a picture, nor guess at values that have no fixed scale.

How source values become 8-bit RGB, the same for training and inspection:

- of several pages or frames, the first;
- 16-bit values keep their upper eight bits, so a ramp stays a ramp (12-bit TIFF likewise);
- values of fewer `bits` that lie unshifted in a 16-bit file keep the upper eight of these; larger ones become white. A
  TIFF is believed where its MaxSampleValue says how many bits there are. PNG's `sBIT` changes nothing: its writers
  scale the values up;
- transparency is dropped and the colours beneath it are kept: nothing can hide behind it;
- float TIFF must lie within 0..1; other floats, signed or 32-bit integers have no fixed scale and are `unsupported`;
- turned upright by EXIF (or XMP, or TIFF) orientation.
"""

import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from inspectd.vision.deep import is_deep, read_deep
from inspectd.vision.depth import FULL, to_8_bits
from inspectd.vision.errors import DecodeError
from inspectd.vision.wholeness import Kind, check, identify, jpeg_with_more_bits

__all__ = ["DecodeError", "Decoded", "decode"]

# Pillow keeps these for the whole process, so they are set once, here. Its own size limit is replaced by the caller's.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", module=r"PIL\.")  # what it would say about one file belongs to that file's record
logging.getLogger("PIL").setLevel(logging.CRITICAL)

_READERS: dict[Kind, Callable[[io.BytesIO], ImageFile]] = {
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "WEBP": WebPImageFile,
}
_FILLER = 128  # what libjpeg shows where coded data is missing
_ORIENTATION = 274
_BITS_PER_SAMPLE, _PHOTOMETRIC, _TILE_WIDTH, _TILE_LENGTH = 258, 262, 322, 323

Samples = NDArray[np.uint8]

# By EXIF orientation: how rows and columns as stored become upright.
_UPRIGHT: dict[object, Callable[[Samples], Samples]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored.swapaxes(0, 1)[::-1, ::-1],
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}


@dataclass(frozen=True)
class Decoded:
    """An upright picture.

    Attributes:
        samples: uint8, read-only: (height, width) of a grey picture, (height, width, 3) RGB of any other.
        bits: bits per sample (or palette index) in the file: 1, 2, 4, 8, 12, 16 or 32.
        doubt: why the file may not be what the camera wrote, as the rest of "The file …"; the verdict must be `review`.
        used: of a file of 16 bits, how many of them its values take (`bits_used`); None of any other file, and of one
            that says by itself how many bits it has.
    """

    samples: Samples
    bits: int
    doubt: str | None
    used: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.samples.shape[1], self.samples.shape[0]

    @property
    def pixels(self) -> Samples:
        """uint8 (height, width, 3), RGB, read-only. Of a grey picture they are made anew each time."""
        if self.samples.ndim == 3:
            return self.samples
        pixels = cv2.cvtColor(self.samples, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
        pixels.flags.writeable = False
        return pixels


def decode(data: bytes, max_pixels: int, bits: int = FULL) -> Decoded:
    """The pixels in `data`, the bytes of one whole image file.

    Args:
        bits: how many bits the values of a 16-bit file have, 8 to 16, where the file does not say so.

    Raises:
        DecodeError: and nothing else. `too large` means more than `max_pixels` pixels; its header alone was read.
    """
    kind = identify(data)
    try:
        return _decode(kind, data, max_pixels, bits)
    except DecodeError:
        raise
    except Exception as error:  # decoders raise what they like: SyntaxError, struct.error, KeyError, OSError …
        raise _explain(kind, data, error) from error


def _decode(kind: Kind, data: bytes, max_pixels: int, bits: int) -> Decoded:
    image = _open(kind, data, max_pixels)
    doubt = check(kind, data)
    image.load()
    in_file = _bits(kind, image, data)
    deep = in_file == FULL and is_deep(image)
    stored, used = read_deep(image, data, bits) if deep else (_samples(kind, image), None)
    if kind == "JPEG":
        doubt = doubt or _jpeg_doubt(data, image, stored)
    turn = _UPRIGHT.get(_orientation(kind, image))
    upright = np.ascontiguousarray(turn(stored) if turn else stored)
    upright.flags.writeable = False
    return Decoded(upright, in_file, doubt, used)


def _open(kind: Kind, data: bytes, max_pixels: int) -> ImageFile:
    """The image with its header read, once its size is known to be within the limit."""
    if kind == "WEBP":  # Pillow allocates a WebP's canvas as soon as it is opened
        _check_size(_webp_canvas(data), max_pixels)
    image = _READERS[kind](io.BytesIO(data))
    _check_size(image.size, max_pixels)
    if isinstance(image, TiffImageFile) and _TILE_WIDTH in image.tag_v2:  # a tile may claim more than its picture
        _check_size((int(image.tag_v2[_TILE_WIDTH]), int(image.tag_v2[_TILE_LENGTH])), max(max_pixels, 2**20))
    return image


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise DecodeError(
            "too large",
            f"The image has {width} × {height} pixels, more than the limit of {max_pixels}; raise limits.pixels if "
            "that is right.",
        )


def _webp_canvas(data: bytes) -> tuple[int, int]:
    """Width and height from a WebP's first chunk (WebP container specification); 0 × 0 for what Pillow will refuse."""
    name, header = data[12:16], data[20:30]
    if name == b"VP8X":
        return int.from_bytes(header[4:7], "little") + 1, int.from_bytes(header[7:10], "little") + 1
    if name == b"VP8L":
        packed = int.from_bytes(header[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if name == b"VP8 ":
        return int.from_bytes(header[6:8], "little") & 0x3FFF, int.from_bytes(header[8:10], "little") & 0x3FFF
    return 0, 0


def _orientation(kind: Kind, image: ImageFile) -> object:
    """EXIF orientation, of which 2..8 mean something. Pillow turns TIFF itself; EXIF that is rubbish turns nothing."""
    if kind == "TIFF":
        return None
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # as any viewer does: the pixels are sound
        return None


def _samples(kind: Kind, image: ImageFile) -> Samples:
    """The samples as stored, scaled to 8 bits: (H, W) for grey, (H, W, 3) for RGB."""
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
        return 255 - values if _white_is_zero(image) else values
    if mode == "F":
        values = np.asarray(image)
        if not (values.min() >= 0 and values.max() <= 1):  # also false for NaN
            raise DecodeError("unsupported", "The float TIFF has values outside 0..1, which have no fixed scale.")
        scaled = np.rint(values * 255).astype(np.uint8)
        return 255 - scaled if _white_is_zero(image) else scaled
    raise DecodeError("unsupported", f"{kind} with samples of type {mode!r} is not supported: {_ADVICE}")


def _white_is_zero(image: ImageFile) -> bool:
    """Whether small values are bright. Pillow inverts such TIFFs up to 8 bits and leaves deeper ones to us."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0


def _bits(kind: Kind, image: ImageFile, data: bytes) -> int:
    if kind == "PNG":
        return data[24]  # IHDR
    if kind == "BMP" and data[14] != 12:
        return min(8, int.from_bytes(data[28:30], "little"))
    return _tiff_bits(image) if isinstance(image, TiffImageFile) else 8


def _tiff_bits(image: TiffImageFile) -> int:
    return int(max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))))


def _jpeg_doubt(data: bytes, image: ImageFile, stored: Samples) -> str | None:
    """Doubt about a JPEG whose end marker is there and whose coded data ends before its picture does.

    libjpeg shows even mid-grey where nothing was coded, and less detail in a progressive file. So where the last pixel
    is such grey, the file is decoded again with other bits after its data: a whole one stays the same. What was lost
    within the very last block of 8 or 16 pixels a side is not seen.
    """
    if image.mode in ("L", "RGB") and "progressive" not in image.info and (stored[-1, -1] != _FILLER).any():
        return None
    again = JpegImageFile(io.BytesIO(jpeg_with_more_bits(data)))
    if np.array_equal(np.asarray(image), np.asarray(again)):
        return None
    return "may be incomplete: its data ends before its picture does, and even grey stands for the rest"


_ADVICE = "save it as 8 or 16-bit grey, or as RGB."
_UNSUPPORTED = ("unsupported", "not supported", "not yet supported", "unknown pixel mode", "cannot handle")


def _explain(kind: Kind, data: bytes, error: Exception) -> DecodeError:
    """What a decoder's exception means to the person who reads the record."""
    if isinstance(error, MemoryError):
        return DecodeError("too large", f"There is not enough memory to decode this {kind} file; lower limits.pixels.")
    try:
        check(kind, data)
    except DecodeError as known:
        return known
    said = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    if isinstance(error.__cause__, KeyError) or any(words in said.lower() for words in _UNSUPPORTED):
        return DecodeError("unsupported", f"This kind of {kind} file is not supported ({said}): {_ADVICE}")
    if "truncated" in said.lower():
        return DecodeError("truncated", f"The {kind} file ends too early ({said}).")
    return DecodeError("damaged", f"The {kind} file is damaged ({said}).")
