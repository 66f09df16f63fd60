"""Bytes become pixels: PNG, JPEG, BMP, TIFF and WebP, and nothing else.

Pillow decodes, behind three guards of our own: the header's size is compared with the limit before any pixel memory is
spent, `wholeness` proves that the file is all there, and whatever a decoder raises becomes a `DecodeError` of that one
file. Must never hand out half a picture, nor guess at values that have no fixed scale.

How source values become 8-bit RGB, the same for training and inspection:

- the pages of a TIFF are pictures of their own, and `limits.pixels` counts them all; smaller copies and masks of a page
  are passed over; of a JPEG with several pictures (MPO) the first counts; an animation is `unsupported`, and so is
  a stack of ImageJ with one directory for all its images;
- 16-bit values keep their upper eight bits, so a ramp stays a ramp (12-bit TIFF likewise);
- values of fewer `bits` that lie unshifted in a 16-bit file keep the upper eight of these; larger ones become white. A
  TIFF is believed where its MaxSampleValue says how many bits there are. PNG's `sBIT` changes nothing: its writers
  scale the values up;
- transparency is dropped and the colours beneath it are kept: nothing can hide behind it;
- float TIFF must lie within 0..1; other floats, signed or 32-bit integers have no fixed scale and are `unsupported`;
- turned upright by EXIF (or XMP, or TIFF) orientation.
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

_FILLER = 128  # what libjpeg shows where coded data is missing
_ORIENTATION = 274

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
        unproven: it ends in zeros, as a black background does and a copy that is not finished; it is whole if it stays
            as it is.
        used: of a file of 16 bits, how many of them its values take (`bits_used`); None of any other file, and of one
            that says by itself how many bits it has.
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
        """uint8 (height, width, 3), RGB, read-only. Of a grey picture they are made anew each time."""
        if self.samples.ndim == 3:
            return self.samples
        pixels = cv2.cvtColor(self.samples, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
        pixels.flags.writeable = False
        return pixels


def decode(data: bytes, max_pixels: int, bits: int = FULL) -> Decoded:
    """The picture in `data`, the bytes of one whole image file of one page.

    Args:
        bits: how many bits the values of a 16-bit file have, 8 to 16, where the file does not say so.

    Raises:
        DecodeError: the file gives no trustworthy pixels. `too large` means more pixels than `max_pixels`, or than this
            machine's memory holds; its header alone was read.
        MemoryError: this machine lacks the memory just now.
    """
    pages = Pages(data, max_pixels, bits)
    if len(pages) > 1:
        raise DecodeError(
            "unsupported",
            f"The file has {len(pages)} pages where one picture is needed: save each page as a file of its own.",
        )
    return pages.decode(1)


class Pages:
    """The pages of one whole image file. Each is decoded when it is asked for, and none is kept.

    Args:
        data: The file's bytes.
        max_pixels: The most pixels of all pages together.
        bits: How many bits the values of a 16-bit file have, 8 to 16, where the file does not say so.

    Raises:
        DecodeError: the file gives no trustworthy pixels.
        MemoryError: this machine lacks the memory just now.
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
        """The page with this number, from 1 on.

        Raises:
            DecodeError: it gives no trustworthy pixels, or the file is not whole. Of several pages it names the one.
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
        """The file as a decoder finds that page in it. Only what must be changed is copied, and only once."""
        for position, changed in self._changes(number):
            self._file.seek(position)
            self._file.write(changed)
        self._file.seek(0)
        return self._file

    def _changes(self, number: int) -> Iterator[tuple[int, bytes]]:
        """Places and bytes: what points to the page, and sizes that are false."""
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
    """Whatever a decoder raises becomes a `DecodeError`, but for a shortage of memory: the file is not at fault."""
    try:
        yield
    except (DecodeError, MemoryError):
        raise
    except Exception as error:  # decoders raise what they like: SyntaxError, struct.error, KeyError, OSError …
        raise _explain(kind, data, error) from error


def _orientation(kind: Kind, image: ImageFile) -> object:
    """EXIF orientation, of which 2..8 mean something. Pillow turns TIFF itself; EXIF that is rubbish turns nothing."""
    if kind == "TIFF":
        return None
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # as any viewer does: the pixels are sound
        return None


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


_UNSUPPORTED = ("unsupported", "not supported", "not yet supported", "unknown pixel mode", "cannot handle")


def _explain(kind: Kind, data: bytes, error: Exception) -> DecodeError:
    """What a decoder's exception means to the person who reads the record."""
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
