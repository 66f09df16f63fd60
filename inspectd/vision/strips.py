"""Finds the pixels of a TIFF picture and checks that all are in the file, even if its byte counts are wrong.

Byte counts may be absent, 0 or wrong. The size of uncompressed pixels follows from the picture's size; a deflate stream
has an end and a checksum. Any other compressed strip needs a plausible byte count, or must reach up to the next item in
the file. Source: TIFF 6.0, sections 3, 7 (strips) and 15 (tiles).
"""

import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspectd.vision.tiff import Directories, Directory, Integers

_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR = 258, 259, 262, 277, 284
_STRIPS, _ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_JPEG_TABLES, _JPEG_AT, _JPEG_BYTES = 347, 513, 514
_JPEG_END = b"\xff\xd9"
_PLAIN, _JPEG, _PACKBITS, _YCBCR, _SEPARATE = 1, 7, 32773, 6, 2
_DEFLATE = (8, 32946)
_FAX = (2, 3, 4)  # their decoders fill in missing pixels, so only a byte count shows the end
_PIECE = 1 << 16

_NONE = np.zeros(0, np.uint32)


@dataclass(frozen=True)
class Extent:
    """The bytes from a picture's first pixel to the end of its last.

    Attributes:
        raw: The pixels are not compressed, or only by PackBits, whose literal runs are plain.
        repair: The positions and right values of byte counts that are false and that a decoder needs.
    """

    start: int
    end: int
    raw: bool
    repair: tuple[int, bytes] | None


def extents_of(data: bytes, directories: Directories) -> dict[int, Extent | None]:
    """The extent of each picture's pixels, by its directory's position; None if some pixels are not in the file."""
    return {each.position: _extent_of(data, each, directories) for each in directories.pictures}


def _extent_of(data: bytes, picture: Directory, among: Directories) -> Extent | None:
    starts = _first_of(picture, _STRIPS, _TILES, _JPEG_AT).astype(np.uint64)
    if not len(starts) or starts.max() > len(data) or not starts.max():
        return None
    said = _counts(picture, len(starts))
    compression = picture.number(_COMPRESSION, _PLAIN)
    if compression == _PLAIN and (needed := _needed(picture)) is not None:
        return _raw_extent(data, picture, starts, needed)
    if compression == _PLAIN and not said.all():
        return None
    if _JPEG_TABLES in picture.fields and picture.fields[_JPEG_TABLES].values[-2:].tobytes() != _JPEG_END:
        return None  # never written; decoders accept that
    used = starts > 0  # a strip at 0 was left out on purpose
    ends = starts + np.minimum(said, len(data))
    doubtful = used & ((said == 0) | (ends > len(data)))
    places = _places(data, among) if doubtful.any() else []
    for index in np.flatnonzero(doubtful):
        end = _end(data, int(starts[index]), int(said[index]), compression, places)
        if end is None:
            return None
        ends[index] = end
    return _extent(picture, starts, ends, compression in (_PLAIN, _PACKBITS), bool(doubtful.any()))


def _extent(
    picture: Directory, starts: NDArray[np.uint64], ends: NDArray[np.uint64], raw: bool, has_false_counts: bool
) -> Extent | None:
    """The extent of strips; None if the byte counts lie among them, as in a broken file."""
    repair = None
    field = picture.fields.get(_STRIP_BYTES, picture.fields.get(_TILE_BYTES))
    if has_false_counts and field:
        true = (ends - starts)[: len(field.values)].astype(field.values.dtype).tobytes()
        if np.any((starts < field.position + len(true)) & (ends > field.position)):
            return None
        repair = field.position, true
    return Extent(int(starts[ends > 0].min()), int(ends.max()), raw, repair)


def _first_of(picture: Directory, *tags: int) -> Integers:
    return next((picture.fields[tag].values for tag in tags if tag in picture.fields), _NONE)


def _counts(picture: Directory, number: int) -> NDArray[np.uint64]:
    """The stated byte counts, 0 for missing ones."""
    said = _first_of(picture, _STRIP_BYTES, _TILE_BYTES, _JPEG_BYTES)[:number]
    counts = np.zeros(number, np.uint64)
    counts[: len(said)] = said
    return counts


def _needed(picture: Directory) -> NDArray[np.uint64] | None:
    """The uncompressed bytes of each strip or tile, plane by plane; None if unknown."""
    width, height = picture.size
    samples = picture.number(_SAMPLES, 1)
    if picture.number(_PHOTOMETRIC, 0) == _YCBCR:  # its colours may have a lower resolution than its grey
        return None
    separate = picture.number(_PLANAR, 1) == _SEPARATE
    bits = picture.number(_BITS, 1) * (1 if separate else samples)
    is_tiled = _TILES in picture.fields and _STRIPS not in picture.fields
    across = picture.number(_TILE_WIDTH, width) if is_tiled else width
    rows = min(picture.number(_TILE_HEIGHT, height) if is_tiled else picture.number(_ROWS, height), height)
    if not across or not rows or not bits:
        return None
    high = -(-height // rows)
    most = len(_first_of(picture, _STRIPS, _TILES))
    planes, wide = samples if separate else 1, -(-width // across)
    if planes * wide * high > most:  # it lists fewer strips than it needs
        return np.full(most + 1, 0, np.uint64)
    line = (across * bits + 7) // 8
    by_row = np.full(high, rows * line, np.uint64)
    by_row[-1] = (height - rows * (high - 1)) * line
    plane = by_row if wide == 1 else np.repeat(by_row, wide)
    return plane if planes == 1 else np.tile(plane, planes)


def _raw_extent(
    data: bytes, picture: Directory, starts: NDArray[np.uint64], needed: NDArray[np.uint64]
) -> Extent | None:
    """The extent of plain pixels; None if a strip reaches beyond the file or, by its byte count, into the next."""
    said = _counts(picture, len(starts))
    if len(needed) > len(starts) or needed.max() > len(data):
        return None
    starts, said = starts[: len(needed)], said[: len(needed)]
    ends = starts + needed
    if ends.max() > len(data) or not starts.all():
        return None
    if np.array_equal(said, needed):
        return _extent(picture, starts, ends, True, False)
    short = (said > 0) & (said < needed)
    if short.any():
        ordered = np.sort(starts)
        place = np.searchsorted(ordered, starts, side="right")
        following = np.append(ordered, np.uint64(len(data)))[place]
        if np.any(short & (ends > following)):
            return None
    return _extent(picture, starts, ends, True, True)


def _end(data: bytes, start: int, said: int, compression: int, places: Sequence[int]) -> int | None:
    """The end of a compressed strip whose byte count is 0 or too large; None if the strip is incomplete."""
    if compression in _DEFLATE:
        return _deflate_end(data, start)
    if said or compression in _FAX:
        return None
    end = places[bisect_right(places, start)]
    if compression == _JPEG and not data[start:end].rstrip(b"\0").endswith(_JPEG_END):
        return None
    return end


def _deflate_end(data: bytes, start: int) -> int | None:
    """The end of a zlib stream with a valid checksum. Its output is discarded piece by piece."""
    stream = zlib.decompressobj()
    try:
        for place in range(start, len(data), _PIECE):
            piece = data[place : place + _PIECE]
            while piece:
                stream.decompress(piece, 1 << 20)
                piece = stream.unconsumed_tail
            if stream.eof:
                return min(place + _PIECE, len(data)) - len(stream.unused_data)
    except zlib.error:
        pass
    return None


def _places(data: bytes, among: Directories) -> list[int]:
    """The beginnings of all strips, tiles and directories in the file, ascending, and the file's end."""
    found = {len(data)}
    for each in among.pictures:
        found.add(each.position)
        found.update(_first_of(each, _STRIPS, _TILES, _JPEG_AT).tolist())
    return sorted(found)
