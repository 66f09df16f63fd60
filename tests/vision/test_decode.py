"""Every format and kind of sample becomes the right upright 8-bit RGB; whatever else comes in becomes a DecodeError."""

import io
import struct
import subprocess
import sys
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from inspectd.errors import InspectdError
from inspectd.vision.decode import DecodeError, decode

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")
ROOM = 10**6
RGB = np.random.default_rng(1).integers(0, 256, (11, 14, 3), dtype=np.uint8)
GREY = RGB[..., 0]
ALPHA = RGB[..., 1]
RAMP16 = np.linspace(0, 65535, 4096).astype(np.uint16).reshape(16, 256)
LOSSLESS = ("PNG", "BMP", "TIFF", "WEBP")


def pillow(image: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}), **options)
    return file.getvalue()


def tiff(values: np.ndarray, *, bits: int, photometric: int = 1, kind: int = 1) -> bytes:
    """A plain little-endian TIFF, for kinds of samples that Pillow and OpenCV do not write."""
    pixels = values.tobytes()
    height, width = values.shape[:2]
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, height)]
    tags += [(279, len(pixels)), (339, kind)]
    entries = b"".join(struct.pack("<HHII", tag, 4 if value > 65535 else 3, 1, value) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(pixels)) + pixels + struct.pack("<H", len(tags)) + entries + bytes(4)


def refused(data: bytes, room: int = ROOM) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(data, room)
    assert isinstance(caught.value, InspectdError)
    return caught.value.code


@pytest.mark.parametrize("kind", LOSSLESS)
def test_rgb_and_grey_are_exact(kind: str) -> None:
    decoded = decode(pillow(RGB, kind), ROOM)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.bits == 8
    assert not decoded.pixels.flags.writeable
    np.testing.assert_array_equal(decoded.pixels, RGB)
    grey = decode(pillow(Image.fromarray(GREY).convert("RGB" if kind == "WEBP" else "L"), kind), ROOM)
    np.testing.assert_array_equal(grey.pixels, np.dstack([GREY] * 3))


def test_jpeg_and_lossy_webp_are_close() -> None:
    smooth = cv2.resize(RGB, (140, 110), interpolation=cv2.INTER_CUBIC)
    for data in (pillow(smooth, "JPEG", quality=95), cv2.imencode(".webp", smooth[..., ::-1], [64, 95])[1].tobytes()):
        assert np.abs(decode(data, ROOM).pixels.astype(int) - smooth).mean() < 6


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_transparency_is_dropped_and_colours_kept(kind: str) -> None:
    np.testing.assert_array_equal(decode(pillow(np.dstack([RGB, ALPHA]), kind), ROOM).pixels, RGB)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_with_transparency(kind: str) -> None:
    image = Image.merge("LA", (Image.fromarray(GREY), Image.fromarray(ALPHA)))
    np.testing.assert_array_equal(decode(pillow(image, kind), ROOM).pixels[..., 2], GREY)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_palette(kind: str) -> None:
    image = Image.fromarray(RGB).quantize(7)
    np.testing.assert_array_equal(decode(pillow(image, kind), ROOM).pixels, np.asarray(image.convert("RGB")))


def test_palette_with_transparency() -> None:
    image = Image.fromarray(RGB).quantize(7)
    for transparency in (3, bytes([0, 128, 255])):
        data = pillow(image, "PNG", transparency=transparency)
        np.testing.assert_array_equal(decode(data, ROOM).pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_one_bit(kind: str) -> None:
    decoded = decode(pillow(Image.fromarray(GREY > 127), kind), ROOM)
    assert decoded.bits == 1
    np.testing.assert_array_equal(decoded.pixels[..., 0], np.where(GREY > 127, 255, 0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_16_bit_ramp_stays_a_ramp(kind: str) -> None:
    decoded = decode(pillow(RAMP16, kind), ROOM)
    assert decoded.bits == 16
    np.testing.assert_array_equal(decoded.pixels[..., 0], RAMP16 >> 8)
    np.testing.assert_array_equal(decoded.pixels[..., 0], decoded.pixels[..., 2])


@pytest.mark.parametrize(
    ("suffix", "options"), [(".png", []), (".tif", [259, 1]), (".tif", [259, 5]), (".tif", [259, 8])]
)
def test_16_bit_colour(suffix: str, options: list[int]) -> None:
    deep = np.random.default_rng(2).integers(0, 65536, (9, 13, 3), dtype=np.uint16)
    decoded = decode(cv2.imencode(suffix, deep[..., ::-1], options)[1].tobytes(), ROOM)
    assert decoded.bits == 16
    np.testing.assert_array_equal(decoded.pixels, deep >> 8)


@pytest.mark.parametrize("compression", [None, "packbits", "tiff_lzw", "tiff_adobe_deflate"])
def test_tiff_compressions(compression: str | None) -> None:
    np.testing.assert_array_equal(decode(pillow(RGB, "TIFF", compression=compression), ROOM).pixels, RGB)


def test_tiff_where_white_is_zero() -> None:
    for bits, values in ((8, GREY), (16, RAMP16)):
        bright = decode(tiff(values, bits=bits, photometric=0), ROOM).pixels[..., 0]
        np.testing.assert_array_equal(bright, 255 - (values >> (bits - 8)))


def test_12_bit_tiff_uses_its_own_range() -> None:
    packed = np.array([[0x00, 0x0F, 0xFF, 0x80, 0x07, 0x7F]], np.uint8)  # 000, FFF, 800, 77F
    data = tiff(packed, bits=12).replace(struct.pack("<HHII", 256, 3, 1, 6), struct.pack("<HHII", 256, 3, 1, 4))
    decoded = decode(data, ROOM)
    assert decoded.bits == 12
    assert decoded.pixels[0, :, 0].tolist() == [0, 255, 128, 0x77]


def test_float_tiff_within_0_and_1_and_no_other() -> None:
    values = np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7)
    decoded = decode(tiff(values, bits=32, kind=3), ROOM)
    assert decoded.bits == 32
    np.testing.assert_array_equal(decoded.pixels[..., 1], np.rint(values * 255))
    for other in (values * 300, values - 0.5, values * np.nan):
        assert refused(tiff(other, bits=32, kind=3)) == "unsupported"


@pytest.mark.parametrize(
    "data",
    [
        tiff(RAMP16.astype(np.int16), bits=16, kind=2),
        tiff(RAMP16.astype(np.uint32), bits=32),
        tiff(GREY, bits=8).replace(struct.pack("<HHII", 259, 3, 1, 1), struct.pack("<HHII", 259, 3, 1, 34712)),
        pillow(Image.fromarray(RGB).convert("LAB"), "TIFF"),
        cv2.imencode(".tif", RGB.astype(np.float32))[1].tobytes(),
    ],
    ids=["signed", "32 bit", "JPEG 2000 inside", "Lab", "float colour"],
)
def test_unsupported_is_said_plainly(data: bytes) -> None:
    assert refused(data) == "unsupported"


def test_cmyk_jpeg() -> None:
    flat = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    red, green, blue = decode(pillow(flat, "JPEG"), ROOM).pixels[16, 16]
    assert (red > 240, green < 20, blue < 20) == (True, True, True)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    smooth = cv2.resize(RGB, (48, 32), interpolation=cv2.INTER_CUBIC)
    data = pillow(smooth, kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert expected.shape == ((48, 32, 3) if orientation > 4 else (32, 48, 3))
    np.testing.assert_array_equal(decode(data, ROOM).pixels, expected)


def test_orientation_of_16_bit_grey() -> None:
    exif = Image.Exif()
    exif[274] = 6
    for kind in ("PNG", "TIFF"):
        upright = decode(pillow(RAMP16, kind, exif=exif), ROOM).pixels
        np.testing.assert_array_equal(upright[..., 0], np.rot90(RAMP16, -1) >> 8)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_rubbish_as_exif_turns_nothing(kind: str) -> None:
    for rubbish in (b"Exif\0\0rubbish!rubbish!", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\xff\xff"):
        np.testing.assert_array_equal(decode(pillow(RGB, kind, exif=rubbish), ROOM).pixels, RGB)


def png_header(width: int, height: int) -> bytes:
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(99))))
    parts = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def claim(data: bytes, position: int, form: str, *sizes: int) -> bytes:
    """The file with other sizes written into its header."""
    changed = bytearray(data)
    struct.pack_into(form, changed, position, *sizes)
    return bytes(changed)


BOMBS = {
    "PNG": png_header(60000, 60000),
    "BMP": claim(pillow(RGB, "BMP"), 18, "<ii", 60000, 60000),
    "JPEG": claim(pillow(RGB, "JPEG"), pillow(RGB, "JPEG").index(b"\xff\xc0") + 5, ">HH", 60000, 60000),
    "TIFF": tiff(np.broadcast_to(np.uint8(0), (1, 60000)), bits=8).replace(
        struct.pack("<HHII", 257, 3, 1, 1), struct.pack("<HHII", 257, 3, 1, 60000)
    ),
    "WebP lossless": claim(pillow(RGB, "WEBP"), 21, "<I", 0x3FFF | 0x3FFF << 14),
    "WebP extended": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6,
}


@pytest.mark.parametrize("name", BOMBS)
def test_too_large_is_seen_in_the_header(name: str) -> None:
    code = """
import resource, sys
from inspectd.vision.decode import DecodeError, decode
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode(sys.stdin.buffer.read(), 100_000_000)
except DecodeError as error:
    print(error.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "default", "-c", code], input=BOMBS[name], capture_output=True, check=True
    )
    assert ran.stdout == b"too large True\n"
    assert ran.stderr == b""


def test_too_little_memory_is_no_fault_of_the_file() -> None:
    code = """
import resource, sys
from pathlib import Path
from inspectd.vision.decode import decode
lines = Path("/proc/self/status").read_text().splitlines()
used = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:"))
data, limits = sys.stdin.buffer.read(), resource.getrlimit(resource.RLIMIT_DATA)
resource.setrlimit(resource.RLIMIT_DATA, (used + (100 << 20), limits[1]))
try:
    decode(data, 100_000_000)
except MemoryError:
    resource.setrlimit(resource.RLIMIT_DATA, limits)
    print(decode(data, 100_000_000).size)
"""
    large = pillow(Image.new("RGB", (5000, 5000)), "PNG")
    ran = subprocess.run([sys.executable, "-c", code], input=large, capture_output=True, check=True)
    assert ran.stdout == b"(5000, 5000)\n"


def test_more_pixels_than_the_machine_holds_are_too_many_whatever_the_limit() -> None:
    header = struct.pack(">IIBBBBB", 10**6, 10**6, 8, 0, 0, 0, 0)  # a terabyte
    small = pillow(Image.new("L", (8, 8)), "PNG")
    huge = small.replace(small[16:33], header + zlib.crc32(b"IHDR" + header).to_bytes(4, "big"))
    with pytest.raises(DecodeError, match=r"1000000 × 1000000 pixels, too many for this machine's memory of \S+ GB"):
        decode(huge, 10**13)


def test_the_limit_is_the_callers_and_not_pillows() -> None:
    large = pillow(Image.new("1", (13_400, 13_400), 1), "PNG")  # Pillow alone would refuse it
    assert refused(large, 13_400**2 - 1) == "too large"
    tracemalloc.start()
    assert refused(large, 10**6) == "too large"
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()
    small = pillow(RGB, "PNG")
    assert decode(small, RGB.shape[0] * RGB.shape[1]).doubt is None


def test_a_tile_larger_than_its_picture_is_too_large() -> None:
    entries = [
        (256, 9),
        (257, 9),
        (258, 8),
        (259, 5),
        (262, 1),
        (277, 1),
        (322, 60000),
        (323, 60000),
        (324, 8),
        (325, 9),
    ]
    packed = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries)
    assert (
        refused(struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(entries)) + packed + bytes(4)) == "too large"
    )


def test_a_directory_beyond_any_file_is_truncated() -> None:
    big = pillow(RGB, "TIFF", big_tiff=True)
    assert refused(claim(big, 8, "<Q", 2**64 - 1)) == "truncated"


def test_garbage_gives_decode_errors_only() -> None:
    random = np.random.default_rng(1234)
    seeds = [pillow(RGB, kind) for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP")]
    seeds += [pillow(RAMP16, "TIFF", compression="tiff_lzw"), pillow(Image.fromarray(RGB).quantize(9), "TIFF")]
    said = []
    for turn in range(700):
        data = bytearray(seeds[turn % len(seeds)])
        for _ in range(random.integers(1, 12)):
            place = int(random.integers(len(data)) if turn % 3 else random.integers(min(200, len(data))))
            data[place] = int(random.choice([0, 1, 127, 128, 255, random.integers(256)]))
        if turn % 5 == 0:
            del data[int(random.integers(len(data))) :]
        try:
            assert decode(bytes(data), ROOM).pixels.ndim == 3
        except DecodeError as error:
            said.append(str(error))
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in said)
    assert 200 < len(said) < 700
