"""TIFF files whose every field can be chosen, and can be wrong."""

import struct
from dataclasses import dataclass, field

import numpy as np

_FORMS = {1: "B", 2: "B", 3: "H", 4: "I", 16: "Q"}
Values = tuple[int, list[int]]  # a field's type and values


@dataclass
class Page:
    """A picture: its fields, its strips (or tiles) and what its SubIFDs hold."""

    fields: dict[int, Values]
    parts: list[bytes]
    where: int = 273  # the tag of the parts' places
    children: "list[Page]" = field(default_factory=list)


def page(pixels: np.ndarray, *, rows: int | None = None, **changed: Values | None) -> Page:
    """A page of plain pixels in strips of so many `rows`; `t254=(4, [1])` sets a field, `t279=None` leaves it out."""
    height, width = pixels.shape[:2]
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    rows = rows or height
    strips = [pixels[top : top + rows].tobytes() for top in range(0, height, rows)]
    fields: dict[int, Values] = {
        **{256: (4, [width]), 257: (4, [height]), 258: (3, [8 * pixels.itemsize] * samples), 259: (3, [1])},
        **{262: (3, [2 if samples == 3 else 1]), 277: (3, [samples]), 278: (4, [rows])},
        279: (4, [len(strip) for strip in strips]),
    }
    for name, value in changed.items():
        fields.pop(int(name[1:]), None)
        if value:
            fields[int(name[1:])] = value
    return Page(fields, strips)


def tiff(*pages: Page, order: str = "<", big: bool = False, following: int = 0) -> bytes:
    """The file: pixels before their directory, page after page; `following` is what stands after the last one."""
    pointer, count, first = ("Q", "Q", 8) if big else ("I", "H", 4)
    mark = b"II" if order == "<" else b"MM"
    out = bytearray(mark + struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 0) if big else (42, 0))))

    def put(each: Page) -> tuple[int, int]:
        """Writes one directory; returns its place and that of what follows it."""
        children = [put(child)[0] for child in each.children]
        places = []
        for part in each.parts:
            places.append(len(out))
            out.extend(part + b"\1" * (len(part) % 2))
        kind = 16 if big else 4
        fields = {**each.fields, each.where: (kind, places)}
        if children:
            fields[330] = (kind, children)
        values = {}
        for tag, (form, numbers) in fields.items():
            data = struct.pack(f"{order}{len(numbers)}{_FORMS[form]}", *numbers)
            if len(data) > struct.calcsize(pointer):
                values[tag] = struct.pack(order + pointer, len(out))
                out.extend(data + b"\1" * (len(data) % 2))
            else:
                values[tag] = data.ljust(struct.calcsize(pointer), b"\0")
        place = len(out)
        out.extend(struct.pack(order + count, len(fields)))
        for tag in sorted(fields):
            out.extend(struct.pack(order + "HH" + pointer, tag, fields[tag][0], len(fields[tag][1])) + values[tag])
        out.extend(struct.pack(order + pointer, 0))
        return place, len(out) - struct.calcsize(pointer)

    link = first
    for each in pages:
        place, after = put(each)
        struct.pack_into(order + pointer, out, link, place)
        link = after
    struct.pack_into(order + pointer, out, link, following)
    return bytes(out)
