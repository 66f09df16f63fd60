"""Decodes image files to pixels: PNG, JPEG, BMP, TIFF and WebP, and nothing else.

Pillow decodes, behind three guards: the size in the header is compared with the limit before pixel memory is allocated,
`wholeness` proves that the file is complete, and every exception of a decoder becomes a `DecodeError` of that file.
This module must never return half a picture, nor guess at values that have no fixed scale.

Source values become 8-bit RGB by these rules, in training as in inspection:

- the pages of a TIFF are pictures of their own, and `limits.pixels` counts them all; smaller copies and masks of a page
  are skipped; of a JPEG with several pictures (MPO) the first counts; an animation is `unsupported`, and so is
  a stack of ImageJ with one directory for all its images;
- 16-bit values keep their upper eight bits, so a ramp stays a ramp (12-bit TIFF likewise);
- values of fewer `bits` that lie unshifted in a 16-bit file keep the upper eight of these; larger ones become white. A
  TIFF's MaxSampleValue overrides `bits`. PNG's `sBIT` changes nothing: its writers
  scale the values up;
- transparency is dropped and the colours beneath it are kept: nothing can hide behind it;
- float TIFF must lie within 0..1; other floats, signed or 32-bit integers have no fixed scale and are `unsupported`;
- the EXIF (or XMP, or TIFF) orientation turns the picture upright.
"""

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from inspectd.vision.bmp import bmp_extent
from inspectd.vision.deep import is_deep, read_deep
from inspectd.vision.depth import FULL
from inspectd.vision.errors import ADVICE, DecodeError
from inspectd.vision.header import bits_in_file, check_size, open_image
from inspectd.vision.samples import samples_of
from inspectd.vision.strips import Extent, extents_of
from inspectd.vision.tiff import Directories, Layout, read_directories
from inspectd.vision.wholeness import WHOLE, Kind, check, check_tiff, identify, jpeg_with_more_bits

__all__ = ["DecodeError", "Decoded", "Pages", "decode"]

_FILLER = 128  # the grey that libjpeg shows for missing coded data
_ORIENTATION = 274

Samples = NDArray[np.uint8]

# By EXIF orientation: the operation that turns stored rows and columns upright.
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
    """A decoded picture, upright.

    Attributes:
        samples: uint8, read-only: (height, width) of a grey picture, (height, width, 3) RGB of any other.
        bits: bits per sample (or palette index) in the file: 1, 2, 4, 8, 12, 16 or 32.
        doubt: why the file may not be what the camera wrote, as the rest of "The file …"; the verdict must be `review`.
        unproven: the file ends in zeros, like a black background or an unfinished copy; it is complete if it does not
            change any more.
        used: for a 16-bit file, the number of bits that its values use (`bits_used`); None for other files, and for
            files that state their bits.
    """

    samples: Samples
    bits: int
    doubt: str | None
    unproven: bool = False
    used: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.samples.shape[1], self.samples.shape[0]

    @property
    def pixels(self) -> Samples:
        """uint8 (height, width, 3), RGB, read-only. A grey picture is converted at each access."""
        if self.samples.ndim == 3:
            return self.samples
        pixels = cv2.cvtColor(self.samples, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
        pixels.flags.writeable = False
        return pixels


def decode(data: bytes, max_pixels: int, bits: int = FULL) -> Decoded:
    """Decodes `data`, the bytes of an image file with one page.

    Args:
        bits: the number of bits of the values in a 16-bit file that does not state it, 8 to 16.

    Raises:
        DecodeError: the file has no trustworthy pixels. `too large`: more than `max_pixels`, or than this machine's
            memory holds; then only the header was read.
        MemoryError: memory does not suffice at the moment.
    """
    pages = Pages(data, max_pixels, bits)
    if len(pages) > 1:
        raise DecodeError(
            "unsupported",
            f"The file has {len(pages)} pages where one picture is needed: save each page as a file of its own.",
        )
    return pages.decode(1)


class Pages:
    """The pages of an image file. Each access decodes a page; none is kept.

    Args:
        data: The file's bytes.
        max_pixels: The most pixels of all pages together.
        bits: The number of bits of the values in a 16-bit file that does not state it, 8 to 16.

    Raises:
        DecodeError: the file has no trustworthy pixels.
        MemoryError: memory does not suffice at the moment.
    """

    def __init__(self, data: bytes, max_pixels: int, bits: int = FULL) -> None:
        self._data = data
        self._bits = bits
        self._file = io.BytesIO(data)
        self._max_pixels = max_pixels
        self._kind = identify(data)
        self._directories: Directories | None = None
        self._extents: dict[int, Extent | None] = {}
        self._tiff = WHOLE
        if self._kind == "TIFF":
            with _explained(self._kind, data):
                self._directories = read_directories(data)
                self._check_sum(self._directories)
                self._extents = extents_of(data, self._directories)
                self._tiff = check_tiff(data, self._directories, self._extents)

    def __len__(self) -> int:
        return len(self._directories.pages) if self._directories else 1

    def __iter__(self) -> Iterator[Decoded]:
        return (self.decode(number) for number in range(1, len(self) + 1))

    def decode(self, number: int) -> Decoded:
        """Decodes the page with this number, from 1 on.

        Raises:
            DecodeError: the page has no trustworthy pixels, or the file is incomplete. Names the page, if there are
                several.
        """
        try:
            with _explained(self._kind, self._data):
                return self._decode(number)
        except DecodeError as error:
            if len(self) == 1:
                raise
            raise DecodeError(error.code, f"Page {number} of {len(self)}: {error}") from error

    def _decode(self, number: int) -> Decoded:
        kind, data = self._kind, self._data
        image = open_image(kind, self._as_read(number), self._max_pixels)
        found = self._tiff if self._directories else check(kind, data)
        image.load()
        in_file = bits_in_file(kind, image, data)
        is_scaled = in_file == FULL and is_deep(image)
        stored, used = (
            read_deep(image, self._file.getvalue(), self._bits) if is_scaled else (samples_of(kind, image), None)
        )
        doubt = found.doubt or (_jpeg_doubt(data, image, stored) if kind == "JPEG" else None)
        turn = _UPRIGHT.get(_orientation(kind, image))
        upright = np.ascontiguousarray(turn(stored) if turn else stored)
        upright.flags.writeable = False
        return Decoded(upright, in_file, doubt, found.unproven, used)

    def _check_sum(self, directories: Directories) -> None:
        sizes = [page.size for page in directories.pages]
        if len(sizes) == 1:
            check_size(sizes[0], self._max_pixels)
        elif (pixels := sum(width * height for width, height in sizes)) > self._max_pixels:
            raise DecodeError(
                "too large",
                f"The {len(sizes)} pages of the file have {pixels} pixels together, more than the limit of "
                f"{self._max_pixels}; raise limits.pixels if that is right.",
            )

    def _as_read(self, number: int) -> io.BytesIO:
        """The file's bytes, changed so that a decoder finds that page. Copies the file at most once."""
        for position, changed in self._changes(number):
            self._file.seek(position)
            self._file.write(changed)
        self._file.seek(0)
        return self._file

    def _changes(self, number: int) -> Iterator[tuple[int, bytes]]:
        """The changes, as positions and bytes: the pointer to the page, and corrected sizes."""
        data = self._data
        if self._kind == "BMP" and (extent := bmp_extent(data)).start != extent.said:
            yield 10, extent.start.to_bytes(4, "little")
        if self._directories is None:
            return
        page, layout = self._directories.pages[number - 1], Layout.of(data)
        if len(self) > 1 or layout.read(layout.pointer, data, layout.first) != (page.position,):
            yield layout.first, struct.pack(layout.order + layout.pointer, page.position)
        whole = self._extents[page.position]
        if whole and whole.repair:
            yield whole.repair


@contextmanager
def _explained(kind: Kind, data: bytes) -> Iterator[None]:
    """Turns every exception of a decoder into a `DecodeError`, except a shortage of memory, which is not the file's
    fault.
    """
    try:
        yield
    except (DecodeError, MemoryError):
        raise
    except Exception as error:  # decoders raise what they like: SyntaxError, struct.error, KeyError, OSError …
        raise _explain(kind, data, error) from error


def _orientation(kind: Kind, image: ImageFile) -> object:
    """The EXIF orientation, 2..8 if the picture must be turned. Pillow turns TIFF itself; damaged EXIF is ignored."""
    if kind == "TIFF":
        return None
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # as every viewer does, because the pixels are intact
        return None


def _jpeg_doubt(data: bytes, image: ImageFile, stored: Samples) -> str | None:
    """The doubt about a JPEG that has an end marker, but too little coded data for its picture.

    libjpeg shows mid-grey for missing data, and less detail in a progressive file. If the last pixel is that grey, the
    file is decoded again with other bits after its data: a complete file gives the same picture. A loss within the last
    block of 8 or 16 pixels a side is not noticed.
    """
    if image.mode in ("L", "RGB") and "progressive" not in image.info and (stored[-1, -1] != _FILLER).any():
        return None
    again = JpegImageFile(io.BytesIO(jpeg_with_more_bits(data)))
    if np.array_equal(np.asarray(image), np.asarray(again)):
        return None
    return "may be incomplete: its data ends before its picture does, and even grey stands for the rest"


_UNSUPPORTED = ("unsupported", "not supported", "not yet supported", "unknown pixel mode", "cannot handle")


def _explain(kind: Kind, data: bytes, error: Exception) -> DecodeError:
    """Turns a decoder's exception into a sentence for the person who reads the record."""
    try:
        check(kind, data)
    except DecodeError as known:
        return known
    said = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    if isinstance(error.__cause__, KeyError) or any(words in said.lower() for words in _UNSUPPORTED):
        return DecodeError("unsupported", f"This kind of {kind} file is not supported ({said}): {ADVICE}")
    if "truncated" in said.lower() or "not enough image data" in said:
        return DecodeError("truncated", f"The {kind} file ends too early ({said}).")
    return DecodeError("damaged", f"The {kind} file is damaged ({said}).")
