"""Checks whether a file is complete, by the structure of its format in the raw bytes, without decoding a pixel.

Decoders are lenient: they show half a picture rather than none. A file that was cut short, or preallocated and never
filled (right size, zeros at the end), must never pass as complete at first sight. There are three results:

- If the file is provably cut, an error. PNG always shows it (checksums); the other formats if bytes are missing, or if
  zeros stand where no encoder writes them.
- If data seems missing although the end is proper, a permanent *doubt*: the verdict is `review`. Mostly JPEG.
- Zeros at the end of raw pixels, or of a WebP, prove nothing: a black background ends in the same bytes as an
  unfinished copy. The file is *unproven*. A caller that can wait checks again later; an unchanged file is complete.

Bytes after the end of an image are ignored: cameras append their own. No header makes this module allocate memory.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from inspectd.vision.bmp import bmp_extent
from inspectd.vision.errors import DecodeError
from inspectd.vision.strips import Extent, extents_of
from inspectd.vision.tiff import Directories, read_directories

Kind = Literal["PNG", "JPEG", "BMP", "TIFF", "WEBP"]

_MAGIC: dict[bytes, Kind] = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
}

# Entropy-coded data may contain FF00, FFFF and FFD0..FFD7; any other marker ends it.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_START, _END, _ALONE, _SCAN, _PROGRESSIVE = 0xD8, 0xD9, 0x01, 0xDA, 0xC2

# Bits that no decoder takes for an empty block, not even together with the bits before them.
_MORE = b"\xff\0" + bytes(range(1, 128))
_SCANS_MISSING = "may be incomplete: the last of its progressive scans are missing"


@dataclass(frozen=True)
class Wholeness:
    """The result for a file that is not provably cut.

    Attributes:
        doubt: evidence that something is missing, as the rest of "The file …".
        unproven: the file ends in zeros: black pixels, or the part that a copy has not written yet.
    """

    doubt: str | None = None
    unproven: bool = False


WHOLE = Wholeness()


def identify(data: bytes) -> Kind:
    """The format by the file's first bytes; its name does not matter.

    Raises:
        DecodeError: ``empty``; ``truncated`` for only zeros; ``not an image`` for any other format.
    """
    if not data:
        raise DecodeError("empty", "The file has no bytes.")
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.count(0) == len(data):
        raise DecodeError("truncated", "The file holds only zero bytes: a copy reserved its space and never wrote it.")
    raise DecodeError("not an image", "The file is not a PNG, JPEG, BMP, TIFF or WebP image.")


def check(kind: Kind, data: bytes) -> Wholeness:
    """Checks whether the file is complete, as far as its format shows.

    Raises:
        DecodeError: ``truncated``, or ``damaged`` when a checksum or the structure is wrong.
    """
    try:
        return _CHECKS[kind](data)
    except DecodeError:
        raise
    except (struct.error, OverflowError, IndexError):  # a position beyond the file, or beyond any file
        raise _truncated(kind, "inside a header") from None
    except Exception as error:
        raise DecodeError("damaged", f"The {kind} file is damaged ({error}).") from error


def _truncated(kind: Kind, where: str) -> DecodeError:
    return DecodeError("truncated", f"The {kind} file ends too early, {where}: it was cut off or not fully written.")


def _refuse_animation(kind: Kind, frames: int) -> None:
    if frames > 1:
        raise DecodeError(
            "unsupported",
            f"The {kind} file is an animation of {frames} frames, none of which is the picture: save the one to "
            "inspect as a file of its own.",
        )


def _png(data: bytes) -> Wholeness:
    """Every chunk's CRC-32 up to IEND (PNG, third edition, 5.3), and that no frame comes after the picture."""
    view = memoryview(data)
    position, frames = 8, 0
    while True:
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise _truncated("PNG", f"at {len(data)} of at least {end + 4} bytes")
        if zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            if data[-1] == 0:  # a whole file ends in IEND's checksum, 82
                raise _truncated("PNG", f"somewhere after byte {position}, and zeros follow")
            raise DecodeError("damaged", f"The PNG file is damaged: a checksum is wrong at byte {position}.")
        name = data[position + 4 : position + 8]
        if name == b"acTL":
            (frames,) = struct.unpack_from(">I", data, position + 8)
        elif name == b"fdAT":  # a further frame, or one that viewers show instead of the picture
            frames = max(frames, 2)
        elif name == b"IEND":
            break
        position = end + 4
    _refuse_animation("PNG", frames)
    return WHOLE


def _jpeg(data: bytes) -> Wholeness:
    """Walks the markers up to the end marker; checks that a progressive file has all its scans."""
    coarse: dict[
        int, list[int]
    ] = {}  # by component of a progressive file: the bits not yet sent of each of 64 coefficients
    for code, start in _jpeg_segments(data):
        if code == _END:
            return Wholeness(_SCANS_MISSING) if any(map(any, coarse.values())) else WHOLE
        if code == _PROGRESSIVE:
            coarse = {component: [16] * 64 for component in data[start + 8 : start + 8 + 3 * data[start + 7] : 3]}
        elif code == _SCAN and coarse:
            parameters = start + 3 + 2 * data[start + 2]
            first, last, bits = data[parameters], data[parameters + 1], data[parameters + 2] & 15
            for component in data[start + 3 : parameters : 2]:
                coarse.setdefault(component, [16] * 64)[first : last + 1] = [bits] * (last + 1 - first)
    raise _truncated("JPEG", "without its end marker")


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Each marker's code and the place after it (ITU-T T.81, B.1), over segments and the thumbnails in them."""
    position = 2
    while marker := _JPEG_MARKER.search(data, position):
        code = data[marker.end() - 1]
        yield code, marker.end()
        position = marker.end()
        if code not in (_START, _ALONE):
            position += struct.unpack_from(">H", data, position)[0]


def jpeg_with_more_bits(data: bytes) -> bytes:
    """The JPEG with other bits between its coded data and its end marker, which show only if bits were missing.

    They include every restart marker, because a decoder may be looking for one.
    """
    end = next(start for code, start in _jpeg_segments(data) if code == _END) - 2
    more = b"".join(_MORE + bytes((0xFF, restart)) for restart in range(0xD0, 0xD8))
    return data[:end] + more + data[end:]


def _bmp(data: bytes) -> Wholeness:
    """Checks that all pixels are inside the file, then the zeros at their end."""
    extent = bmp_extent(data)
    if extent.end is None:
        return Wholeness(unproven=data.endswith(b"\0\0"))
    if extent.end > len(data):
        raise _truncated("BMP", f"at {len(data)} of {extent.end} bytes")
    if extent.is_ambiguous:
        return Wholeness("may be incomplete: it is shorter than its header says")
    return Wholeness(unproven=_ends_in_zeros(data, extent.start, extent.end))


def _tiff(data: bytes) -> Wholeness:
    found = read_directories(data)
    return check_tiff(data, found, extents_of(data, found))


def check_tiff(data: bytes, found: Directories, extents: dict[int, Extent | None]) -> Wholeness:
    """Checks that a TIFF file holds the pixels of all pictures and all pages, then the zeros at its end.

    Args:
        extents: The result of `extents_of`.
    """
    whole = [each for each in extents.values() if each]
    if len(whole) < len(extents):
        number = list(extents.values()).index(None) + 1
        which = f"directory {number} of {len(extents)}" if len(extents) > 1 else "its directory"
        raise _truncated("TIFF", f"before the pixels that {which} points to")
    last = max(whole, key=lambda extent: extent.end)
    if found.missing and found.missing % 2 == 0:  # directories begin at even places
        if len(data) - max(found.end, last.end) > 3:
            raise _truncated("TIFF", "inside a page")
        if found.missing < 8 * len(data):
            return Wholeness("may be incomplete: it names one more page, which is not in it")
    rest = len(data) - found.end
    stacked = found.pictures[0].stacked
    if stacked > len(found.pictures) == 1 and len(data) - max(found.end, last.end) > 3:
        raise DecodeError(
            "unsupported",
            f"The TIFF file is a stack of {stacked} images with one directory, so that only the first can be found: "
            "save each image as a page, or as a file of its own.",
        )
    if found.end > last.end and rest >= _many(last.end) and data.count(0, found.end) == rest:
        return Wholeness(unproven=True)  # what pointed to the next page may have been cut in the middle
    if last.raw:
        return Wholeness(unproven=_ends_in_zeros(data, min(extent.start for extent in whole), last.end))
    # Compressed data does not end in zeros: LZW has an end code, deflate a checksum. Two or three may be alignment.
    zeros = _zeros(data, last.end)
    if zeros >= 4:
        raise _truncated("TIFF", "and zeros follow")
    return Wholeness(unproven=zeros >= 2)


def _webp(data: bytes) -> Wholeness:
    """Checks RIFF's length and chunks, then the zeros at the end of the picture and of the file.

    Neither codec has an end marker. Whole files end in at most 2 zero bytes with the lossless codec, and with the lossy
    one in at most 6 if the picture has detail to its end. A plain background ends in dozens, or in thousands if the
    encoder worked in a fast mode.
    """
    riff_end = 8 + struct.unpack_from("<I", data, 4)[0]
    if riff_end > len(data):
        raise _truncated("WEBP", f"at {len(data)} of {riff_end} bytes")
    position, picture_end, usual_zeros, frames = 12, 0, 0, 0
    while position + 8 <= riff_end:
        name, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length
        if end > riff_end or not name.strip().isalnum():
            raise _truncated("WEBP", f"somewhere before byte {position}, and zeros or damage follow")
        if name in (b"VP8 ", b"VP8L", b"ANMF"):
            picture_end, usual_zeros = end, 2 if name == b"VP8L" else 7
            frames += name == b"ANMF"
        position = end + length % 2
    if not picture_end:
        raise _truncated("WEBP", "before its picture")
    _refuse_animation("WEBP", frames)
    return Wholeness(unproven=_zeros(data, picture_end) > usual_zeros or _zeros(data, riff_end) >= 16)


def _ends_in_zeros(data: bytes, start: int, end: int) -> bool:
    """Whether raw pixels from `start` to `end` end in so many zeros that they may be unwritten.

    The limit is 4096 zeros (the block in which copies are written), in small files about 1 %. A copy's last, shorter
    block may be missing as well: its zeros begin exactly on a block's boundary, which a black corner does once in 512
    times.
    """
    zeros = _zeros(data, end)
    on_boundary = zeros >= 16 and (end - zeros) % 512 == 0
    return zeros >= _many(end - start) or on_boundary


def _many(pixels: int) -> int:
    """The number of zeros that makes the end of so many bytes of pixels suspicious."""
    return min(4096, max(16, pixels // 128))


def _zeros(data: bytes, end: int) -> int:
    """The number of zero bytes (4096 at most) before `end`; 0 if other bytes follow `end`."""
    if data.count(0, end) != len(data) - end:
        return 0
    block = data[max(0, end - 4096) : end]
    return len(block) - len(block.rstrip(b"\0"))


_CHECKS = {"PNG": _png, "JPEG": _jpeg, "BMP": _bmp, "TIFF": _tiff, "WEBP": _webp}
