"""A proper prefix of an image file, with or without zeros up to its full length, never passes at first sight."""

import io
import re
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from PIL import Image
from support.hostile import opencv, pillow

from inspectd.vision.decode import DecodeError, Pages, decode

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
ROOM = 10**6
NOISE = np.random.default_rng(7).integers(1, 256, (72, 90, 3), dtype=np.uint8)
GREY = NOISE[..., 0]
DEEP = np.random.default_rng(8).integers(256, 65536, (72, 90), dtype=np.uint16)


def pages() -> bytes:
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, "TIFF", save_all=True, append_images=[Image.fromarray(NOISE)])
    return file.getvalue().rstrip(b"\0")  # the writer's padding; the noise itself holds no zero


FILES: dict[str, Callable[[], bytes]] = {
    "png": lambda: pillow(GREY, "PNG"),
    "png 16 bit": lambda: pillow(DEEP, "PNG"),
    "png with exif": lambda: pillow(NOISE, "PNG", exif=turned(6)),
    "jpeg": lambda: pillow(NOISE, "JPEG"),
    "jpeg progressive": lambda: pillow(NOISE, "JPEG", progressive=True),
    "jpeg restart": lambda: opencv(NOISE, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "jpeg with thumbnail": lambda: with_thumbnail(),
    "bmp": lambda: pillow(GREY, "BMP"),
    "bmp rgb": lambda: pillow(NOISE, "BMP"),
    "tiff": lambda: pillow(GREY, "TIFF"),
    "tiff rgb": lambda: pillow(NOISE, "TIFF"),
    "tiff 16 bit": lambda: pillow(DEEP, "TIFF"),
    "tiff pages": pages,
    "tiff big": lambda: pillow(GREY, "TIFF", big_tiff=True),
    "tiff lzw": lambda: pillow(NOISE, "TIFF", compression="tiff_lzw"),
    "tiff lzw 16 bit": lambda: opencv(DEEP, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 5),
    "tiff deflate": lambda: pillow(NOISE, "TIFF", compression="tiff_adobe_deflate"),
    "tiff directory last": lambda: opencv(NOISE, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 1),
    "webp lossy": lambda: pillow(NOISE, "WEBP", quality=80),
    "webp lossless": lambda: pillow(NOISE, "WEBP", lossless=True),
    "webp with exif": lambda: pillow(NOISE, "WEBP", quality=80, exif=turned(3)),
}

# Zeros in place of the last bytes of a format without checksum or end marker cannot be told from pixels: of raw pixels
# less than 1 in 128, of lossless WebP 3 bytes, and of the EXIF data at the end of a WebP 15.
RAW = {"bmp", "bmp rgb", "tiff", "tiff rgb", "tiff 16 bit", "tiff big", "tiff pages"}
BLIND = {"webp lossless": 3, "webp with exif": 15}


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def with_thumbnail() -> bytes:
    """A JPEG that holds a whole smaller JPEG, end marker and all, in its EXIF segment."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + pillow(GREY[:16, :16], "JPEG")
    return pillow(NOISE, "JPEG", exif=exif)


def cuts(length: int) -> Iterator[int]:
    """All of the headers, about every hundredth of the file, and each of the last bytes."""
    yield from sorted({*range(min(280, length)), *range(0, length, max(1, length // 101)), *range(length - 70, length)})


def passes(data: bytes) -> list[np.ndarray] | None:
    """The pixels of all pages of what is decoded without error, without doubt, and without another look."""
    try:
        pages = list(Pages(data, ROOM))
    except DecodeError:
        return None
    return None if any(page.doubt or page.unproven for page in pages) else [page.pixels for page in pages]


def same(some: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return len(some) == len(others) and all(map(np.array_equal, some, others))


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_passes(name: str) -> None:
    assert passes(FILES[name]())


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_never_passes(name: str) -> None:
    whole = FILES[name]()
    assert [cut for cut in cuts(len(whole)) if passes(whole[:cut])] == []


@pytest.mark.parametrize("name", FILES)
def test_a_preallocated_file_never_passes(name: str) -> None:
    """…unless it shows the very pixels of the whole file, or lost fewer bytes than its format could tell."""
    whole = FILES[name]()
    pixels = passes(whole) or []
    blind = len(whole) // 128 if name in RAW else BLIND.get(name, 0)
    wrong = []
    for cut in cuts(len(whole)):
        padded = whole[:cut] + bytes(len(whole) - cut)
        if padded == whole or len(whole) - cut <= blind:
            continue
        passed = passes(padded)
        if passed and not same(passed, pixels):
            wrong.append(cut)
    assert wrong == []


@pytest.mark.parametrize("name", ["png", "png 16 bit", "jpeg", "jpeg progressive"])
def test_formats_with_an_end_say_truncated_not_damaged(name: str) -> None:
    whole = FILES[name]()
    for cut in cuts(len(whole)):
        for data in (whole[:cut], whole[:cut] + bytes(len(whole) - cut)):
            if cut >= 8:
                with pytest.raises(DecodeError) as caught:
                    decode(data, ROOM)
                assert caught.value.code == "truncated"
                assert str(caught.value).endswith(".")


@pytest.mark.parametrize("suffix", [".bmp", ".tif"])
def test_a_copy_that_lacks_its_last_short_block_is_unproven(suffix: str) -> None:
    whole = opencv(np.full((500, 500, 3), 200, np.uint8), suffix, cv2.IMWRITE_TIFF_COMPRESSION, 1)
    if suffix == ".tif":
        whole = pillow(np.full((500, 500, 3), 200, np.uint8), "TIFF")
    blocks = len(whole) // 4096 * 4096
    assert len(whole) - blocks < 4096
    assert passes(whole)
    assert decode(whole[:blocks] + bytes(len(whole) - blocks), ROOM).unproven


def test_a_black_background_is_unproven_where_the_format_cannot_tell_and_never_doubted() -> None:
    part = np.zeros((240, 320), np.uint8)
    cv2.circle(part, (160, 120), 90, 170, -1)
    colour = cv2.merge([part, part, part])
    files = {
        "png": pillow(part, "PNG"),
        "jpeg": pillow(part, "JPEG"),
        "jpeg progressive": pillow(part, "JPEG", progressive=True),
        "webp lossless": pillow(colour, "WEBP", lossless=True),
        "tiff lzw": pillow(part, "TIFF", compression="tiff_lzw"),
        "tiff directory last": opencv(part, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 1),  # written after the pixels
        "bmp": pillow(part, "BMP"),
        "bmp rgb": pillow(colour, "BMP"),
        "tiff": pillow(part, "TIFF"),
        "tiff packbits": pillow(part, "TIFF", compression="packbits"),
        "webp quick": pillow(colour, "WEBP", quality=80, method=0),
    }
    decoded = {name: decode(data, ROOM) for name, data in files.items()}
    assert [name for name, each in decoded.items() if each.doubt] == []
    assert {name for name, each in decoded.items() if each.unproven} >= {"bmp", "bmp rgb", "tiff"}
    assert {name for name, each in decoded.items() if each.unproven} <= {*list(files)[6:]}


def test_a_few_black_rows_need_no_second_look() -> None:
    picture = np.full((600, 600), 90, np.uint8)
    picture[:4, :500] = 0  # a BMP's last rows are the picture's first
    assert passes(pillow(picture, "BMP"))


def test_what_cameras_append_after_the_end_is_no_fault() -> None:
    for name in ("png", "jpeg", "bmp", "webp lossy", "webp lossless"):
        assert passes(FILES[name]() + b"exposure=17;serial=4711\0\0\0\0")


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("jpeg")])
def test_a_jpeg_that_is_cut_and_ended_is_doubted(name: str) -> None:
    """Wherever its coded data is cut, unless no more than its last block (and the pixel beside it) is lost."""
    whole = FILES[name]()
    pixels = decode(whole, ROOM).pixels
    unseen = []
    for cut in range(whole.rindex(b"\xff\xda") + 14, len(whole) - 2):
        passed = passes(whole[:cut] + b"\xff\xd9")
        if passed and (passed[0] != pixels)[:-17, :].any():
            unseen.append(cut)
    assert unseen == []


def test_a_progressive_jpeg_without_its_last_scans_is_doubted() -> None:
    whole = FILES["jpeg progressive"]()
    scans = [place.start() for place in re.finditer(b"\xff\xc4|\xff\xda", whole)]  # a table belongs to its scan
    for end in scans[scans.index(whole.index(b"\xff\xda")) + 1 :]:
        assert not passes(whole[:end] + b"\xff\xd9")


def test_a_grey_corner_is_no_doubt_where_it_was_coded() -> None:
    picture = GREY.copy()
    picture[32:, 32:] = 128
    assert passes(pillow(picture, "JPEG"))
    assert passes(pillow(np.full((72, 90), 128, np.uint8), "JPEG"))


def test_a_wrong_checksum_is_damage() -> None:
    whole = bytearray(FILES["png"]())
    whole[len(whole) // 2] ^= 1
    with pytest.raises(DecodeError) as caught:
        decode(bytes(whole), ROOM)
    assert caught.value.code == "damaged"


def test_nothing_but_zeros_and_nothing_at_all() -> None:
    for data, code in ((b"", "empty"), (bytes(5000), "truncated"), (b"%PDF-1.7", "not an image")):
        with pytest.raises(DecodeError) as caught:
            decode(data, ROOM)
        assert caught.value.code == code


def test_directories_that_point_in_a_circle_end() -> None:
    whole = bytearray(FILES["tiff"]())
    first = int.from_bytes(whole[4:8], "little")
    entries = int.from_bytes(whole[first : first + 2], "little")
    whole[first + 2 + 12 * entries : first + 6 + 12 * entries] = first.to_bytes(4, "little")
    assert passes(bytes(whole))
