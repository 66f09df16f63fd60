"""Values of fewer bits in 16-bit files: read by the bits they have, and told where they contradict what is expected."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from inspectd.vision.decode import DecodeError, decode
from inspectd.vision.depth import Depths, bits_used, depth_of

ROOM = 10**6
ROWS, COLUMNS = 24, 40


def values(bits: int, channels: int = 1) -> NDArray[np.uint16]:
    """Of so many bits, the largest included."""
    found = np.random.default_rng(bits).integers(0, 1 << bits, (ROWS, COLUMNS, channels), dtype=np.uint16)
    found[0, 0] = (1 << bits) - 1
    return found[..., 0] if channels == 1 else found


def encoded(image: NDArray[np.uint16], suffix: str, *options: int) -> bytes:
    stored = image[..., ::-1] if image.ndim == 3 and image.shape[2] == 3 else image
    return cv2.imencode(suffix, stored, options)[1].tobytes()


def tiff(image: NDArray[np.uint16], order: str = "<", **tags: int | tuple[int, ...]) -> bytes:
    """An uncompressed TIFF of 16 bits; `tags` such as `t281=4095` are added, or put in place."""
    channels = 1 if image.ndim == 2 else image.shape[2]
    pixels = image.astype(f"{order}u2").tobytes()
    fields: dict[int, tuple[int, ...]] = {
        **{256: (COLUMNS,), 257: (ROWS,), 258: (16,) * channels, 259: (1,), 262: (1 if channels == 1 else 2,)},
        **{273: (8,), 277: (channels,), 278: (ROWS,), 279: (len(pixels),)},
    }
    fields |= {int(name[1:]): each if isinstance(each, tuple) else (each,) for name, each in tags.items()}
    end = 8 + len(pixels)
    entries, more = b"", b""
    for tag, numbers in sorted(fields.items()):
        packed = struct.pack(f"{order}{len(numbers)}H", *numbers)
        if len(packed) > 4:
            entries += struct.pack(f"{order}HHII", tag, 3, len(numbers), end + len(more))
            more += packed
        else:
            entries += struct.pack(f"{order}HHI", tag, 3, len(numbers)) + packed.ljust(4, b"\0")
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, end + len(more))
    return head + pixels + more + struct.pack(f"{order}H", len(fields)) + entries + bytes(4)


def shown(data: bytes, bits: int) -> NDArray[np.uint8]:
    pixels = decode(data, ROOM, bits).pixels
    assert pixels.dtype == np.uint8
    return pixels


@pytest.mark.parametrize("bits", [8, 10, 11, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_fill_the_range_that_they_have(bits: int, channels: int) -> None:
    image = values(bits, channels)
    shape = ROWS, COLUMNS, 3
    stored = np.broadcast_to(image.reshape(ROWS, COLUMNS, channels), shape)
    files = [
        *(encoded(image, ".png"), encoded(image, ".tif", 259, 1), encoded(image, ".tif", 259, 5)),
        *(tiff(image), tiff(image, ">")),
    ]
    for data in files:
        for asked in {bits, 16}:
            decoded = decode(data, ROOM, asked)
            np.testing.assert_array_equal(decoded.pixels, stored >> (asked - 8))
            assert (decoded.bits, decoded.used) == (16, bits)


def test_transparency_is_dropped_and_grey_with_it_is_read() -> None:
    image = values(12, 4)
    png = cv2.imencode(".png", image[..., [2, 1, 0, 3]])[1].tobytes()
    for data in (png, tiff(image, t338=2), tiff(image, ">", t338=0)):
        np.testing.assert_array_equal(shown(data, 12), image[..., :3] >> 4)
    rows = b"".join(b"\0" + image[row, :, :2].astype(">u2").tobytes() for row in range(ROWS))
    header = struct.pack(">IIBBBBB", COLUMNS, ROWS, 16, 4, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    grey = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)
    np.testing.assert_array_equal(shown(grey, 12)[..., 1], image[..., 0] >> 4)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def test_what_is_brighter_than_its_bits_is_white() -> None:
    colours = values(16, 3)
    for image, data in ((colours, encoded(colours, ".png")), (colours[..., :1], tiff(colours[..., 0]))):
        decoded = decode(data, ROOM, 12)
        assert decoded.used == 16
        wanted = np.where(image > 4095, 255, image >> 4)
        np.testing.assert_array_equal(decoded.pixels, np.broadcast_to(wanted, decoded.pixels.shape))


def test_white_is_zero_and_a_turned_picture() -> None:
    image = values(12)
    np.testing.assert_array_equal(shown(tiff(image, t262=0), 12)[..., 0], 255 - (image >> 4))
    colours = values(12, 3)
    for data in (tiff(colours, t274=6), tiff(colours, ">", t274=6)):
        np.testing.assert_array_equal(shown(data, 12), np.rot90(colours, -1) >> 4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_is_believed_that_says_how_many_bits_its_values_have(order: str) -> None:
    grey, colours = values(12), values(12, 3)
    for bits in (10, 12, 16):
        decoded = decode(tiff(grey, order, t281=4095), ROOM, bits)
        np.testing.assert_array_equal(decoded.pixels[..., 0], grey >> 4)
        assert decoded.used is None, "it needs nobody's word, and so contradicts none"
        np.testing.assert_array_equal(shown(tiff(colours, order, t281=(4095,) * 3), bits), colours >> 4)
    # The picture's own maximum, the file's own range, and what the picture disproves are no depth.
    for said in (3000, 65535, 1023):
        np.testing.assert_array_equal(shown(tiff(grey, order, t281=said), 16)[..., 0], grey >> 8)
        np.testing.assert_array_equal(shown(tiff(grey, order, t281=said), 12)[..., 0], grey >> 4)


def test_sbit_of_a_png_changes_nothing() -> None:
    """An encoder that writes it has scaled the values up (PNG, 11.3.2.4)."""
    data = encoded(values(12) << 4, ".png")
    with_sbit = data[:33] + chunk(b"sBIT", b"\x0c") + data[33:]
    assert Image.open(io.BytesIO(with_sbit)).mode == "I;16"
    np.testing.assert_array_equal(shown(with_sbit, 16), shown(data, 16))


def test_files_of_8_bits_do_not_care() -> None:
    image = (values(8, 3)).astype(np.uint8)
    for suffix in (".png", ".tif", ".bmp"):
        decoded = decode(cv2.imencode(suffix, image[..., ::-1])[1].tobytes(), ROOM, 10)
        np.testing.assert_array_equal(decoded.pixels, image)
        assert decoded.used is None


def test_colour_in_separate_planes_is_refused_in_words() -> None:
    """Pillow keeps their upper bytes alone, and OpenCV takes them for something else."""
    planes = values(12, 3)
    packed = [zlib.compress(np.ascontiguousarray(planes[..., each]).tobytes()) for each in range(3)]
    data = planar(packed)
    np.testing.assert_array_equal(shown(data, 16), planes >> 8)
    with pytest.raises(DecodeError, match="values of 12 bits cannot be read") as caught:
        decode(data, ROOM, 12)
    assert caught.value.code == "unsupported"


def planar(strips: list[bytes]) -> bytes:
    starts = [8 + sum(map(len, strips[:each])) for each in range(len(strips))]
    end = 8 + sum(map(len, strips))
    arrays = struct.pack("<3I3I3H", *starts, *map(len, strips), 16, 16, 16)
    tags = [
        *((256, 3, 1, COLUMNS), (257, 3, 1, ROWS), (258, 3, 3, end + 24), (259, 3, 1, 8), (262, 3, 1, 2)),
        *((273, 4, 3, end), (277, 3, 1, 3), (278, 3, 1, ROWS), (279, 4, 3, end + 12), (284, 3, 1, 2)),
    ]
    entries = b"".join(struct.pack("<HHII", *each) for each in tags)
    head = struct.pack("<2sHI", b"II", 42, end + len(arrays))
    return head + b"".join(strips) + arrays + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_the_bits_that_values_take() -> None:
    assert bits_used(np.array([[0]], np.uint16)) == 0
    assert bits_used(np.array([1023, 512], np.uint16)) == 10
    assert bits_used(np.array([4094, 2], np.uint16)) == 12
    assert bits_used(np.array([900 << 4, 1000 << 4], np.uint16)) == 16, "a dim scene of a camera that shifts them up"
    assert bits_used(np.array([4080, 16], np.uint16)) == 12, "a sensor of 8 bits behind a 12-bit format"
    assert depth_of([]) == depth_of([0, 0]) == 16
    assert [depth_of([9, used]) for used in (7, 11, 13, 15)] == [10, 12, 14, 16]


def test_what_is_said_of_files_that_do_not_suit_the_bits() -> None:
    twelve = Depths({"a.png": 10, "b.png": 12, "black.png": 0})
    assert (twelve.depth, twelve.remarks(12)) == (12, [])
    assert twelve.evidence == "no value in 3 16-bit files exceeds 1/16 of the range"
    [dark] = twelve.remarks(16)
    assert "No value in 2 16-bit files exceeds 1/16 of the range of 16 bits" in dark
    assert "If the camera has fewer bits (12 would hold these values)" in dark
    assert "1/64" in Depths({"a.png": 10}).remarks(16)[0]
    assert "1/4" in Depths({"a.png": 14}).remarks(16)[0]
    [bright] = twelve.remarks(10)
    assert bright.startswith("Values in 1 of 2 16-bit files, such as b.png, exceed the range of 10 bits")
    [mixed] = Depths({"a.png": 12, "b.png": 16}).remarks(16)
    assert mixed.startswith("1 of 2 16-bit files hold no value above 1/16 of the range of 16 bits, such as a.png.")
    assert Depths({"a.png": 10, "b.png": 12}).remarks(12) == []
    assert (Depths().depth, Depths().remarks(16), Depths({"a.png": 0}).remarks(16)) == (16, [], [])
