"""Finds the pixels in a BMP file, even if its header is false: `bfSize` and `bfOffBits` often are.

Source: Microsoft, "Bitmap Storage" and "Bitmap Compression"; OS/2 headers as in the IBM OS/2 2.0 Technical Library.
"""

import struct
from dataclasses import dataclass

_RUN_LENGTH_8, _RUN_LENGTH_4, _MASKS, _MASKS_ALPHA = 1, 2, 3, 6  # biCompression
_OS2, _WINDOWS = 12, 40  # sizes of the headers after the first 14 bytes
_SLACK = 3  # bytes by which a file may be filled up


@dataclass(frozen=True)
class BmpExtent:
    """The bytes from the first pixel to the end of the last.

    Attributes:
        said: The beginning of the pixels according to the header.
        end: The end of the pixels; None if run lengths have no end mark, and a decoder then finds pixels missing.
        is_ambiguous: The file is too long for pixels that begin where they are said to, within the palette, and too
            short for pixels behind it.
    """

    said: int
    start: int
    end: int | None
    is_ambiguous: bool = False


def bmp_extent(data: bytes) -> BmpExtent:
    """The extent of the pixels, in the file or beyond its end.

    The pixels begin at `bfOffBits` unless that is within the header, or within the palette of a file that is long
    enough for pixels behind it.

    Raises:
        struct.error: the file ends inside its header.
    """
    said, header = struct.unpack_from("<II", data, 10)
    if header == _OS2:
        width, height, _planes, bits = struct.unpack_from("<HHHH", data, 18)
        compression, colours = 0, 0
    else:
        width, height, _planes, bits, compression, colours = struct.unpack_from("<iiHHI12xI", data, 18)
    behind = 14 + header + _between(header, bits, compression, colours)
    if compression in (_RUN_LENGTH_8, _RUN_LENGTH_4):
        start = said if said > 14 + header else behind
        return BmpExtent(said, start, _run_length_end(data, start, compression))
    needed = (width * bits + 31) // 32 * 4 * abs(height)
    fits_behind = behind + needed <= len(data)
    fits_as_said = 0 <= len(data) - said - needed <= _SLACK
    if said >= behind or (said > 14 + header and (fits_as_said or not fits_behind)):
        return BmpExtent(said, said, said + needed, said < behind and len(data) - said - needed > _SLACK)
    return BmpExtent(said, behind, behind + needed)


def _between(header: int, bits: int, compression: int, colours: int) -> int:
    """The bytes of colour masks and palette between the header and the pixels."""
    masks = {_MASKS: 12, _MASKS_ALPHA: 16}.get(compression, 0) if header == _WINDOWS else 0
    if bits > 8:
        return masks
    most = 1 << bits
    return masks + (3 if header == _OS2 else 4) * (colours if 0 < colours <= most else most)


def _run_length_end(data: bytes, start: int, compression: int) -> int | None:
    """The position after the end mark of run lengths; None if the file ends before it."""
    place = start
    while place + 2 <= len(data):
        count, value = data[place], data[place + 1]
        place += 2
        if count:
            continue
        if value == 1:
            return place
        if value == 2:  # a step right and up
            place += 2
        elif value > 2:  # pixels as they are, filled up to an even number of bytes
            size = value if compression == _RUN_LENGTH_8 else (value + 1) // 2
            place += size + size % 2
    return None
