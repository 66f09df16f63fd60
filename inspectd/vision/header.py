"""Reads an image's header with Pillow, and compares its size with the limit before anything is decoded."""

import io
import logging
import os
import resource
import warnings
from collections.abc import Callable
from functools import cache

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from inspectd.sizes import size_text
from inspectd.vision.errors import DecodeError
from inspectd.vision.wholeness import Kind

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
COPIES = 3  # bytes of memory, at least, that a pixel takes while it is decoded
_WIDTH, _LENGTH, _BITS_PER_SAMPLE, _PHOTOMETRIC, _PLANAR, _TILE_WIDTH, _TILE_LENGTH = 256, 257, 258, 262, 284, 322, 323
_SEPARATE = 2  # planes, of PlanarConfiguration


def open_image(kind: Kind, file: io.BytesIO, max_pixels: int) -> ImageFile:
    """Opens an image, reads its header and checks its size.

    Raises:
        DecodeError: ``too large``.
        Exception: any exception of Pillow.
    """
    if kind == "WEBP":  # Pillow allocates a WebP's canvas as soon as it is opened
        check_size(_webp_canvas(file.getvalue()), max_pixels)
    image = _READERS[kind](file)
    check_size(image.size, max_pixels)
    if isinstance(image, TiffImageFile) and _TILE_WIDTH in image.tag_v2:  # a tile may claim more than its picture
        check_size((int(image.tag_v2[_TILE_WIDTH]), int(image.tag_v2[_TILE_LENGTH])), max(max_pixels, 2**20))
    if isinstance(image, TiffImageFile) and image.tag_v2.get(_PLANAR) == _SEPARATE and tiff_bits(image) == 16:
        _read_by_libtiff(image)
    return image


def _read_by_libtiff(image: TiffImageFile) -> None:
    """Makes libtiff read uncompressed planes of 16 bits, which Pillow takes for planes of 8 bits."""
    extents = (0, 0, int(image.tag_v2[_WIDTH]), int(image.tag_v2[_LENGTH]))
    whole = (f"{image.mode};16N", False, image.tag_v2.offset)
    image.tile = [image.tile[0]._replace(codec_name="libtiff", extents=extents, offset=0, args=whole)]
    image.use_load_libtiff = True


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Refuses more pixels than the limit, or than this machine's memory holds, for a width and a height."""
    width, height = size
    if width * height > memory() // COPIES:
        raise DecodeError(
            "too large",
            f"The image has {width} × {height} pixels, too many for this machine's memory of {size_text(memory())}.",
        )
    if width * height > max_pixels:
        raise DecodeError(
            "too large",
            f"The image has {width} × {height} pixels, more than the limit of {max_pixels}; raise limits.pixels if "
            "that is right.",
        )


@cache
def memory() -> int:
    """The most bytes of memory that a process can have: the machine's memory or the process's limit."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return machine if limit == resource.RLIM_INFINITY else min(machine, limit)


def _webp_canvas(data: bytes) -> tuple[int, int]:
    """Width and height from a WebP's first chunk (WebP container specification); 0 × 0 for a file that Pillow will
    refuse.
    """
    name, header = data[12:16], data[20:30]
    if name == b"VP8X":
        return int.from_bytes(header[4:7], "little") + 1, int.from_bytes(header[7:10], "little") + 1
    if name == b"VP8L":
        packed = int.from_bytes(header[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if name == b"VP8 ":
        return int.from_bytes(header[6:8], "little") & 0x3FFF, int.from_bytes(header[8:10], "little") & 0x3FFF
    return 0, 0


def tiff_bits(image: TiffImageFile) -> int:
    """Bits per sample of a TIFF picture."""
    return int(max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))))


def bits_in_file(kind: Kind, image: ImageFile, data: bytes) -> int:
    """Bits per sample, or per palette index, of an opened picture: 1, 2, 4, 8, 12, 16 or 32."""
    if kind == "PNG":
        return data[24]  # IHDR
    if kind == "BMP" and data[14] != 12:
        return min(8, int.from_bytes(data[28:30], "little"))
    return tiff_bits(image) if isinstance(image, TiffImageFile) else 8


def white_is_zero(image: ImageFile) -> bool:
    """Whether small values are bright. Pillow inverts such TIFFs up to 8 bits; inspectd inverts deeper ones."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0
