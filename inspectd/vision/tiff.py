"""Where a TIFF file's pixels lie: its directories (pages) read from the raw bytes, and not one pixel.

TIFF has neither a length nor a checksum; all that can be known is whether every directory and strip lies inside the
file. Sizes that a directory claims are compared with the file's before anything is read or allocated.
Source: TIFF 6.0, section 2, and the BigTIFF extension.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_COMPRESSION, _STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 259, 273, 279, 324, 325
_UNCOMPRESSED = (1, 32773)  # plain, and PackBits, whose literal runs are as plain
_INTEGERS = {3: "u2", 4: "u4", 16: "u8"}
_MOST_PAGES = 1000  # only the first is ever shown; a loop or a list without end must not hold us up
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

Integers = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Extent:
    """The bytes from the first pixel to the end of the last, over all pages; `raw`: the pixels are not compressed."""

    start: int
    end: int
    raw: bool


@dataclass(frozen=True)
class _Layout:
    """How numbers lie in the file: byte order, and the widths that BigTIFF doubled."""

    order: str
    count: str = "H"
    entry: str = "HHI"
    pointer: str = "I"
    first: int = 4

    @classmethod
    def of(cls, data: bytes) -> "_Layout":
        order = "<" if data[:2] == b"II" else ">"
        return cls(order, "Q", "HHQ", "Q", 8) if 43 in data[2:4] else cls(order)

    def read(self, form: str, data: bytes, position: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + form, data, position)

    def size(self, form: str) -> int:
        return struct.calcsize(self.order + form)


def tiff_extent(data: bytes) -> Extent | None:
    """Where the pixels of all pages lie, or None if some of what the directories point to is not in the file.

    Raises:
        struct.error: the file ends inside a directory.
    """
    layout = _Layout.of(data)
    (position,) = layout.read(layout.pointer, data, layout.first)
    seen: set[int] = set()
    extents: list[Extent] = []
    while position and position not in seen and len(seen) < _MOST_PAGES:
        seen.add(position)
        directory = _directory(layout, data, position)
        extent = _pixels(directory[0], len(data)) if directory else None
        if directory is None or extent is None:
            return None
        extents.append(extent)
        position = directory[1]
    if not extents:
        return None
    last = max(extents, key=lambda extent: extent.end)
    return Extent(min(extent.start for extent in extents), last.end, last.raw)


def _directory(layout: _Layout, data: bytes, position: int) -> tuple[dict[int, Integers], int] | None:
    """The integer fields that matter and the next directory's position; None where the file does not hold them."""
    (entries,) = layout.read(layout.count, data, position)
    position += layout.size(layout.count)
    head, pointer = layout.size(layout.entry), layout.size(layout.pointer)
    if position + entries * (head + pointer) > len(data):
        return None
    fields: dict[int, Integers] = {}
    for _ in range(entries):
        tag, kind, count = layout.read(layout.entry, data, position)
        size = _SIZES.get(kind, 0) * count
        start = position + head if size <= pointer else layout.read(layout.pointer, data, position + head)[0]
        never_written = not kind or (not count and not any(data[position + head :]))
        if never_written or start + size > len(data):
            return None
        if tag in (_COMPRESSION, _STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES) and kind in _INTEGERS:
            fields[tag] = np.frombuffer(data, layout.order + _INTEGERS[kind], count, start)
        position += head + pointer
    return fields, layout.read(layout.pointer, data, position)[0]


def _pixels(fields: dict[int, Integers], length: int) -> Extent | None:
    """A page's extent; None if a strip or tile reaches beyond the file of `length` bytes."""
    none = np.zeros(0, np.uint32)
    starts = fields.get(_STRIPS, fields.get(_TILES, none)).astype(np.uint64)
    sizes = fields.get(_STRIP_BYTES, fields.get(_TILE_BYTES, none)).astype(np.uint64)
    if not len(starts) or starts.max() > length or (len(sizes) and sizes.max() > length):
        return None
    compression = fields.get(_COMPRESSION, none)
    raw = not len(compression) or int(compression[0]) in _UNCOMPRESSED
    count = min(len(starts), len(sizes))
    if not raw and np.any((starts[:count] > 0) & (sizes[:count] == 0)):  # a place but no bytes: not filled in yet
        return None
    ends = starts[:count] + sizes[:count] if count else starts  # sums of two file positions: no overflow
    return Extent(int(starts.min()), int(ends.max()), raw) if ends.max() <= length else None
