"""Sizes that a header names and that are false cost no picture that is all there, and hide none that was cut."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from support.tiff import Page, page, tiff

from inspectd.vision.decode import DecodeError, decode

ROOM = 10**6
GREY = np.random.default_rng(6).integers(1, 256, (48, 64), dtype=np.uint8)
COLOUR = np.random.default_rng(7).integers(1, 256, (48, 64, 3), dtype=np.uint8)
DEEP = np.random.default_rng(8).integers(256, 65536, (48, 64, 3), dtype=np.uint16)
FLAT = GREY // 64 * 60 + 5
STRIPS = 5  # of ten rows, the last of eight
PALETTE = b"".join(bytes((level, level, level, 0)) for level in range(256))


def counts(*values: int) -> dict[str, tuple[int, list[int]]]:
    return {"t279": (4, list(values))}


def deflated(pixels: np.ndarray, rows: int, said: list[int] | None) -> Page:
    found = page(pixels, rows=rows, t259=(3, [8]))
    found.parts = [zlib.compress(part) for part in found.parts]
    found.fields[279] = (4, said or [len(part) for part in found.parts])
    return found


def planes(pixels: np.ndarray, rows: int, **changed: tuple[int, list[int]] | None) -> Page:
    found = page(pixels, rows=rows, t284=(3, [2]), **changed)
    found.parts = [pixels[top : top + rows, :, band].tobytes() for band in range(3) for top in range(0, 48, rows)]
    return found


def tiles(pixels: np.ndarray, side: int, said: list[int]) -> Page:
    found = page(pixels, t278=None, t279=None, t322=(4, [side]), t323=(4, [side]), t325=(4, said))
    high, wide = -(-pixels.shape[0] // side), -(-pixels.shape[1] // side)
    padded = np.zeros((high * side, wide * side), pixels.dtype)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    found.parts = [
        padded[side * row : side * (row + 1), side * column : side * (column + 1)].tobytes()
        for row in range(high)
        for column in range(wide)
    ]
    found.where = 324
    return found


def without_counts(data: bytes) -> bytes:
    """A little-endian TIFF whose byte counts are all 0."""
    changed = bytearray(data)
    (place,) = struct.unpack_from("<I", data, 4)
    for entry in range(place + 2, place + 2 + 12 * data[place], 12):
        tag, kind, count = struct.unpack_from("<HHI", data, entry)
        if tag == 279:
            size = (2 if kind == 3 else 4) * count
            at = entry + 8 if size <= 4 else struct.unpack_from("<I", data, entry + 8)[0]
            changed[at : at + size] = bytes(size)
    return bytes(changed)


def saved(pixels: np.ndarray, compression: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TIFF", compression=compression, strip_size=640)
    return file.getvalue()


def bmp(pixels: bytes, bits: int, *, size: int | None = None, offset: int | None = None, **other: object) -> bytes:
    """A BMP of 64×48 pixels; `header`, `packed`, `palette`, `masks` and `behind` are other parts of it."""
    header, packed = int(str(other.get("header", 40))), int(str(other.get("packed", 0)))
    extra = b"".join(bytes(other.get(name, b"")) for name in ("masks", "palette"))  # type: ignore[call-overload]
    start = 14 + header + len(extra)
    if header == 12:
        info = struct.pack("<IHHHH", 12, 64, 48, 1, bits)
    else:
        info = struct.pack("<IiiHHI", header, 64, 48, 1, bits, packed).ljust(header, b"\0")
    body = info + extra + pixels + bytes(other.get("behind", b""))  # type: ignore[call-overload]
    total = 14 + len(body) if size is None else size
    return b"BM" + struct.pack("<I4xI", total, start if offset is None else offset) + body


def run_lengths(pixels: np.ndarray) -> bytes:
    rows = (b"".join(bytes((1, level)) for level in row) + b"\0\0" for row in pixels[::-1])
    return b"".join(rows) + b"\0\1"


UP = GREY[::-1].tobytes()
RUNS = run_lengths(FLAT)
MASKS = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
WIDE = np.dstack([GREY] * 4)[::-1].tobytes()
WINDOWS, OS2 = {"palette": PALETTE}, {"palette": bytes(np.repeat(np.arange(256, dtype=np.uint8), 3)), "header": 12}

FILES: dict[str, tuple[bytes, np.ndarray]] = {
    "tiff, no counts": (tiff(page(GREY, rows=10, t279=None)), GREY),
    "tiff, counts of 0": (tiff(page(GREY, rows=10, **counts(*[0] * STRIPS))), GREY),
    "tiff, counts too large": (tiff(page(GREY, rows=10, **counts(*[99_999] * STRIPS))), GREY),
    "tiff, counts too small": (tiff(page(GREY, rows=10, **counts(*[9] * STRIPS))), GREY),
    "tiff, too few counts": (tiff(page(GREY, rows=10, **counts(640, 640))), GREY),
    "tiff, rows without end": (tiff(page(GREY, t278=(4, [2**32 - 1]))), GREY),
    "tiff, deflate, counts of 0": (tiff(deflated(GREY, 10, [0] * STRIPS)), GREY),
    "tiff, deflate, counts too large": (tiff(deflated(GREY, 10, [99_999] * STRIPS)), GREY),
    "tiff, LZW, counts of 0": (without_counts(saved(GREY, "tiff_lzw")), GREY),
    "tiff, PackBits, counts of 0": (without_counts(saved(GREY, "packbits")), GREY),
    "tiff, planes without counts": (tiff(planes(COLOUR, 7, t279=None)), COLOUR),
    "tiff, planes of 16 bits": (tiff(planes(DEEP, 7, **counts(*[0] * 21))), DEEP >> 8),
    "tiff, big-endian planes of 16 bits": (
        tiff(planes(DEEP.astype(">u2"), 7, **counts(*[0] * 21)), order=">"),
        DEEP >> 8,
    ),
    "tiff, tiles with counts of 0": (tiff(tiles(GREY, 40, [0] * 4)), GREY),
    "bmp, no size": (bmp(UP, 8, size=0, **WINDOWS), GREY),
    "bmp, size too large": (bmp(UP, 8, size=0xCCCCCCCC, **WINDOWS), GREY),
    "bmp, size too small": (bmp(UP, 8, size=1078, **WINDOWS), GREY),
    "bmp, no offset": (bmp(UP, 8, offset=0, **WINDOWS), GREY),
    "bmp, offset into the header": (bmp(UP, 8, offset=40, **WINDOWS), GREY),
    "bmp, offset of the palette": (bmp(UP, 8, offset=54, **WINDOWS), GREY),
    "bmp, a shorter palette": (bmp((GREY % 64)[::-1].tobytes(), 8, palette=PALETTE[:256]), GREY % 64),
    "bmp, OS/2": (bmp(UP, 8, **OS2), GREY),
    "bmp, OS/2, no offset": (bmp(UP, 8, offset=0, size=0, **OS2), GREY),
    "bmp, masks, no offset": (bmp(WIDE, 32, offset=0, packed=3, masks=MASKS), GREY),
    "bmp, run lengths": (bmp(RUNS, 8, packed=1, **WINDOWS), FLAT),
    "bmp, run lengths, no size": (bmp(RUNS, 8, packed=1, size=0, **WINDOWS), FLAT),
    "bmp, run lengths, size too large": (bmp(RUNS, 8, packed=1, size=99_999, behind=b"serial", **WINDOWS), FLAT),
}


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    return np.array_equal(found if expected.ndim == 3 else found[..., 0], expected)


@pytest.mark.parametrize("name", FILES)
def test_a_picture_whose_pixels_are_all_there_is_right(name: str) -> None:
    data, expected = FILES[name]
    decoded = decode(data, ROOM)
    assert decoded.doubt is None
    assert same(decoded.pixels, expected)


@pytest.mark.parametrize("name", FILES)
def test_a_picture_that_is_not_all_there_never_passes(name: str) -> None:
    """…with or without zeros in place of what is missing, unless that is less than 1 in 128 bytes of plain pixels."""
    whole, expected = FILES[name]
    passed = []
    for cut in {*range(0, len(whole), 19), *range(len(whole) - 70, len(whole))}:
        for data in (whole[:cut], whole[:cut].ljust(len(whole), b"\0")):
            try:
                decoded = decode(data, ROOM)
            except DecodeError:
                continue
            blind = len(data) == len(whole) and len(whole) - cut <= len(whole) // 128
            if not (decoded.doubt or decoded.unproven) and not same(decoded.pixels, expected) and not blind:
                passed.append(cut)
    assert passed == []


def test_pixels_do_not_begin_within_a_palette_that_is_there() -> None:
    """Unless the file is exactly as long as if they did: then the palette is shorter than its header says."""
    whole = bmp(UP, 8, offset=500, **WINDOWS)
    assert same(decode(whole, ROOM).pixels, GREY)
    assert "shorter than its header says" in str(decode(whole[:-100], ROOM).doubt)


def test_counts_that_are_true_because_the_strips_overlap() -> None:
    """What a strip lacks is not taken from the next one."""
    short = page(GREY, rows=10, **counts(*[320] * STRIPS))
    short.parts = [part[:320] for part in short.parts]
    with pytest.raises(DecodeError) as caught:
        decode(tiff(short), ROOM)
    assert caught.value.code == "truncated"


def test_compressed_data_without_an_end_needs_a_count() -> None:
    """A fax decoder makes up what is missing."""
    line_art = (GREY > 127).astype(np.uint8) * 255
    file = io.BytesIO()
    Image.fromarray(line_art).convert("1").save(file, "TIFF", compression="group4")
    assert same(decode(file.getvalue(), ROOM).pixels, line_art)
    with pytest.raises(DecodeError):
        decode(without_counts(file.getvalue()), ROOM)
