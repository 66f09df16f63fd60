"""Reads a TIFF file's directories from the raw bytes, and decides which are its pages. Decodes no pixel.

TIFF has neither a length nor a checksum; one can only check that every directory and strip lies inside the file. Sizes
in a directory are compared with the file's before anything is read or allocated.
Source: TIFF 6.0, section 2; Adobe PageMaker 6.0 TIFF Technical Notes (SubIFDs); the BigTIFF extension; ImageJ's
`ij.io.TiffEncoder` (stacks).
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from inspectd.vision.errors import DecodeError

_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _SUB_DIRECTORIES = 254, 255, 256, 257, 262, 330
_DESCRIPTION = 270
_NOTES = (34665, 34853)  # EXIF and GPS
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_OLD_REDUCED, _TRANSPARENCY = 2, 4  # of SubfileType and of PhotometricInterpretation
_INTEGERS = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 7: "u1", 13: "u4", 16: "u8", 18: "u8"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MOST = 1000  # directories; a list without end must not hold us up

_BIG = ("Q", "HHQ", "Q", 8)  # the layout of BigTIFF
Integers = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Field:
    """An integer field: its values and their position in the file."""

    values: Integers
    position: int


@dataclass(frozen=True)
class Directory:
    """One directory: a picture, a smaller copy, a mask, or something else.

    Attributes:
        position: Its position in the file.
        end: The end of the directory and of the values that it points to, without pixels.
        following: The position of the next directory; 0 after the last.
        fields: Its integer fields by tag, and its texts as bytes.
    """

    position: int
    end: int
    following: int
    fields: dict[int, Field]

    def number(self, tag: int, otherwise: int) -> int:
        """A field's first value."""
        field = self.fields.get(tag)
        return int(field.values[0]) if field and len(field.values) else otherwise

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; 0 × 0 if it is not a picture."""
        return self.number(_WIDTH, 0), self.number(_HEIGHT, 0)

    @property
    def stacked(self) -> int:
        """The number of images in an ImageJ stack with a single directory; otherwise 1."""
        text = self.fields[_DESCRIPTION].values.tobytes() if _DESCRIPTION in self.fields else b""
        said = re.search(rb"^images=(\d{1,9})\r?$", text, re.MULTILINE) if text.startswith(b"ImageJ=") else None
        return int(said[1]) if said else 1

    @property
    def stands_in(self) -> bool:
        """Whether it is marked as the smaller copy of another picture, or as another's mask."""
        is_copy = self.number(_SUBFILE, 0) & _REDUCED or self.number(_OLD_SUBFILE, 0) == _OLD_REDUCED
        is_mask = self.number(_SUBFILE, 0) & _MASK or self.number(_PHOTOMETRIC, 0) == _TRANSPARENCY
        return bool(is_copy or is_mask)


@dataclass(frozen=True)
class Layout:
    """The layout of numbers in the file: byte order, and the widths that BigTIFF doubled."""

    order: str
    count: str = "H"
    entry: str = "HHI"
    pointer: str = "I"
    first: int = 4  # the position of the first directory's position

    @classmethod
    def of(cls, data: bytes) -> "Layout":
        order = "<" if data[:2] == b"II" else ">"
        return cls(order, *_BIG) if 43 in data[2:4] else cls(order)

    def read(self, form: str, data: bytes, position: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + form, data, position)

    def size(self, form: str) -> int:
        return struct.calcsize(self.order + form)


@dataclass(frozen=True)
class Directories:
    """All directories of a file that are pictures, in their order, each before its SubIFDs.

    Attributes:
        end: The end of the last directory, picture or not, and of the values that it points to.
        missing: The position of a further directory beyond the end of the file, if any.
    """

    pictures: tuple[Directory, ...]
    end: int
    missing: int | None

    @property
    def pages(self) -> tuple[Directory, ...]:
        """The pages: all pictures except smaller copies and masks, unless there is nothing else."""
        return tuple(each for each in self.pictures if not each.stands_in) or self.pictures


def read_directories(data: bytes) -> Directories:
    """The directories of a TIFF file.

    The last directory often ends in garbage instead of 0. A position counts as garbage if it leads neither to a
    directory nor to one that was cut off.

    Raises:
        DecodeError: ``truncated`` if a directory is not in the file; ``unsupported`` for more than 1000.
        struct.error: the file ends inside its header.
    """
    layout = Layout.of(data)
    if layout == Layout(">", *_BIG):
        raise DecodeError("unsupported", "A big-endian BigTIFF file is not supported: save it as a little-endian one.")
    (first,) = layout.read(layout.pointer, data, layout.first)
    found: dict[int, Directory] = {}
    missing = None
    waiting = [(first, False)]
    while waiting:
        position, may_be_garbage = waiting.pop()
        if position in found or (may_be_garbage and not position):
            continue
        directory = _directory(layout, data, position)
        if directory is None:
            if not may_be_garbage or _is_cut_off(layout, data, position):
                raise DecodeError("truncated", _CUT_OFF)
            missing = position if position >= len(data) else None
            continue
        if len(found) == _MOST:
            raise DecodeError("unsupported", f"The TIFF file has more than {_MOST} pages: save it as several files.")
        found[position] = directory
        waiting.append((directory.following, True))
        children = directory.fields.get(_SUB_DIRECTORIES)
        waiting += [(int(child), False) for child in reversed(children.values)] if children else []
    pictures = tuple(each for each in found.values() if all(each.size))
    if not pictures or (missing and all(each.stands_in for each in pictures)):  # the picture itself is missing
        raise DecodeError("truncated", _CUT_OFF)
    return Directories(pictures, max(_end(layout, data, each) for each in found.values()), missing)


def _end(layout: Layout, data: bytes, directory: Directory) -> int:
    """The end of a directory and of its EXIF and GPS directories."""
    notes = [_directory(layout, data, directory.number(tag, 0)) for tag in _NOTES if tag in directory.fields]
    return max(each.end for each in (directory, *notes) if each)


_CUT_OFF = "The TIFF file ends too early, before or inside a directory: it was cut off or not fully written."


def _directory(layout: Layout, data: bytes, position: int) -> Directory | None:
    """The directory at `position`; None if the file does not hold a complete one."""
    if position + layout.size(layout.count) > len(data):
        return None
    entries = list(_entries(layout, data, position))
    after = position + layout.size(layout.count) + len(entries) * layout.size(layout.entry + layout.pointer)
    if not entries or after + layout.size(layout.pointer) > len(data) or None in entries:
        return None
    fields: dict[int, Field] = {}
    end = after + layout.size(layout.pointer)
    for entry in entries:
        assert entry is not None, "looked for above"
        tag, kind, count, start = entry
        last = start + _SIZES.get(kind, 0) * count
        never_written = not kind or (not count and not any(data[start:]))
        if never_written or last > len(data):
            return None
        end = max(end, last)
        if kind in _INTEGERS:
            fields[tag] = Field(np.frombuffer(data, layout.order + _INTEGERS[kind], count, start), start)
    return Directory(position, end, layout.read(layout.pointer, data, after)[0], fields)


def _entries(layout: Layout, data: bytes, position: int) -> Iterator[tuple[int, int, int, int] | None]:
    """Tag, type, count and the values' position of each entry at `position`; None for an entry beyond the file."""
    head, pointer = layout.size(layout.entry), layout.size(layout.pointer)
    place = position + layout.size(layout.count)
    if place > len(data):
        return
    for _ in range(min(layout.read(layout.count, data, position)[0], 0xFFFF)):
        if place + head + pointer > len(data):
            yield None
            return
        tag, kind, count = layout.read(layout.entry, data, place)
        is_inside = _SIZES.get(kind, 0) * count <= pointer
        yield tag, kind, count, place + head if is_inside else layout.read(layout.pointer, data, place + head)[0]
        place += head + pointer


def _is_cut_off(layout: Layout, data: bytes, position: int) -> bool:
    """Whether a directory at `position` may have been cut off or never written: the bytes that exist look like one."""
    written = len(data.rstrip(b"\0"))
    if position >= written:
        return position < len(data)
    head, each = layout.size(layout.count), layout.size(layout.entry + layout.pointer)
    entries = list(_entries(layout, data, position))[: max(0, written - position - head) // each]
    seen = [entry for entry in entries if entry]
    if not seen:
        return position + head + each > written
    return _ascends([tag for tag, *_ in seen]) and all(kind in _SIZES for _, kind, *_ in seen)


def _ascends(tags: Sequence[int]) -> bool:
    return all(first < second for first, second in pairwise(tags))
