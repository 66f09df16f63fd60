"""Which pictures of a file count: pages, not their smaller copies; and never the first of several in silence."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image
from support.tiff import Page, page, tiff

from inspectd.vision.decode import DecodeError, Pages, decode

ROOM = 10**6
RNG = np.random.default_rng(5)
FIRST, SECOND, THIRD = (RNG.integers(1, 256, (48, 64), dtype=np.uint8) for _ in range(3))
COLOUR = RNG.integers(1, 256, (40, 30, 3), dtype=np.uint8)
DEEP = RNG.integers(256, 65536, (48, 64), dtype=np.uint16)
SMALL = FIRST[::4, ::4].copy()
COPY, MASK, OLD_COPY = {"t254": (4, [1])}, {"t254": (4, [4])}, {"t255": (3, [2])}


def with_children(parent: Page, *children: Page) -> Page:
    parent.children = list(children)
    return parent


def refused(data: bytes, room: int = ROOM) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        list(Pages(data, room))
    assert str(caught.value).endswith(".")
    return caught.value


CASES: dict[str, tuple[bytes, list[np.ndarray]]] = {
    "one": (tiff(page(FIRST)), [FIRST]),
    "three of three kinds": (tiff(page(FIRST), page(COLOUR), page(DEEP)), [FIRST, COLOUR, DEEP >> 8]),
    "marked as pages": (tiff(page(FIRST, t254=(4, [2])), page(SECOND, t254=(4, [2]))), [FIRST, SECOND]),
    "big-endian": (tiff(page(DEEP.astype(">u2")), page(SECOND), order=">"), [DEEP >> 8, SECOND]),
    "BigTIFF": (tiff(page(FIRST), page(SECOND), big=True), [FIRST, SECOND]),
    "thumbnail first": (tiff(page(SMALL, **COPY), page(FIRST)), [FIRST]),
    "thumbnail as marked of old": (tiff(page(SMALL, **OLD_COPY), page(FIRST)), [FIRST]),
    "thumbnail after each": (
        tiff(page(FIRST), page(SMALL, **COPY), page(SECOND), page(SMALL, **COPY)),
        [FIRST, SECOND],
    ),
    "mask": (tiff(page(FIRST), page(SMALL, **MASK), page(FIRST, t262=(3, [4]))), [FIRST]),
    "pyramid in SubIFDs": (
        tiff(with_children(page(FIRST), page(SMALL, **COPY)), with_children(page(SECOND), page(SMALL, **COPY))),
        [FIRST, SECOND],
    ),
    "picture in a SubIFD": (tiff(with_children(page(SMALL, **COPY), page(FIRST))), [FIRST]),
    "marked as copies, all of them": (tiff(page(FIRST, **COPY), page(SECOND, **COPY)), [FIRST, SECOND]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_pages_are_the_pictures_that_stand_for_themselves(name: str) -> None:
    data, expected = CASES[name]
    pages = list(Pages(data, ROOM))
    assert [each.doubt for each in pages] == [None] * len(expected)
    for each, pixels in zip(pages, expected, strict=True):
        np.testing.assert_array_equal(each.samples, pixels)


@pytest.mark.parametrize(
    "name", [name for name, (_, pages) in CASES.items() if len(pages) > 1 or name == "thumbnail first"]
)
def test_a_file_that_was_cut_anywhere_never_passes(name: str) -> None:
    """Nor one whose rest was never written, unless less than 1 in 128 bytes of plain pixels is missing."""
    whole, expected = CASES[name]
    passed = []
    for cut in {*range(0, len(whole), 17), *range(len(whole) - 60, len(whole))}:
        for data in (whole[:cut], whole[:cut].ljust(len(whole), b"\0")):
            try:
                pages = list(Pages(data, ROOM))
            except DecodeError:
                continue
            right = [np.array_equal(each.samples, pixels) for each, pixels in zip(pages, expected, strict=False)]
            if data != whole and not (
                right == [True] * len(expected) or any(each.doubt or each.unproven for each in pages)
            ):
                passed.append(cut)
    assert passed == []


def test_a_broken_page_breaks_the_file_and_is_named() -> None:
    packed = page(SECOND, t259=(3, [8]))
    packed.parts = [zlib.compress(SECOND.tobytes())[:-200] + bytes(200)]
    packed.fields[279] = (4, [len(packed.parts[0])])
    error = refused(tiff(page(FIRST), packed, page(THIRD)))
    assert error.code == "damaged"
    assert str(error).startswith("Page 2 of 3: The TIFF file is damaged")
    assert str(refused(tiff(page(FIRST), page(DEEP.astype(np.int16), t339=(3, [2]))))).startswith("Page 2 of 2: ")
    beyond = page(SECOND)
    beyond.fields[257] = (4, [4800])
    error = refused(tiff(page(FIRST), beyond))
    assert (error.code, "directory 2 of 2" in str(error)) == ("truncated", True)


def test_one_picture_is_asked_for_and_several_are_there() -> None:
    with pytest.raises(DecodeError, match="has 2 pages where one picture is needed") as caught:
        decode(tiff(page(FIRST), page(SECOND)), ROOM)
    assert caught.value.code == "unsupported"


def test_the_limit_counts_all_pages_and_no_more_than_one_is_in_memory() -> None:
    side = 300
    many = tiff(*(page(np.full((side, side), level + 1, np.uint8)) for level in range(60)))
    error = refused(many, 60 * side**2 - 1)
    assert error.code == "too large"
    assert str(error).startswith("The 60 pages of the file have 5400000 pixels together, more than the limit")
    tracemalloc.start()
    assert [int(each.samples[0, 0]) for each in Pages(many, 60 * side**2)] == list(range(1, 61))
    assert tracemalloc.get_traced_memory()[1] < 1.5 * len(many), "the file once more, and a page"
    tracemalloc.stop()


def test_more_directories_than_anybody_has_pages_are_refused() -> None:
    tiny = page(SMALL[:1, :1].copy())
    assert refused(tiff(*[tiny] * 1001)).code == "unsupported"


def test_a_stack_with_one_directory_is_refused_and_a_single_page_of_a_stack_is_a_picture() -> None:
    described = tiff(page(FIRST, t270=(2, list(b"ImageJ=1.54f\nimages=3\nslices=3\n\0"))))
    assert (decode(described, ROOM).samples == FIRST).all(), "a program that splits stacks keeps the description"
    error = refused(described + SECOND.tobytes() + THIRD.tobytes())
    assert (error.code, "a stack of 3 images" in str(error)) == ("unsupported", True)


@pytest.mark.parametrize("following", [0x7FFF1234, 0xFFFFFFFF, 0xDEAD, 1, 2, 1000])
def test_garbage_after_the_last_directory_is_no_fault(following: int) -> None:
    for pages in ([FIRST], [FIRST, SECOND]):
        found = list(Pages(tiff(*map(page, pages), following=following), ROOM))
        assert [each.doubt for each in found] == [None] * len(pages)


def test_a_page_that_may_be_missing_is_a_doubt() -> None:
    """A file that ends where its first page does, and names a second one not far behind it."""
    whole = tiff(page(FIRST), page(SECOND))
    cut = whole[: len(tiff(page(FIRST)))]
    [only] = Pages(cut, ROOM)
    assert only.doubt == "may be incomplete: it names one more page, which is not in it"


def animation(kind: str, frames: int, **options: object) -> bytes:
    first, *others = (Image.fromarray(COLOUR // (number + 1)) for number in range(frames))
    file = io.BytesIO()
    first.save(file, kind, save_all=True, append_images=others, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_refused_in_a_sentence(kind: str) -> None:
    error = refused(animation(kind, 3))
    assert error.code == "unsupported"
    assert str(error).startswith(f"The {kind} file is an animation of 3 frames")


def test_an_animation_of_one_frame_is_a_picture() -> None:
    np.testing.assert_array_equal(decode(animation("PNG", 1), ROOM).pixels, COLOUR)
    control = struct.pack(">I4sII", 8, b"acTL", 1, 0)
    still = animation("PNG", 1)
    np.testing.assert_array_equal(
        decode(still[:33] + control + struct.pack(">I", zlib.crc32(control[4:])) + still[33:], ROOM).pixels, COLOUR
    )
    plain = animation("WEBP", 1, lossless=True)
    body = plain[12:]
    size = (COLOUR.shape[1] - 1).to_bytes(3, "little") + (COLOUR.shape[0] - 1).to_bytes(3, "little")
    frame = bytes(6) + size + bytes(4) + body
    chunks = b"VP8X" + struct.pack("<IB3x", 10, 2) + size + b"ANIM" + struct.pack("<I6x", 6)
    chunks += b"ANMF" + struct.pack("<I", len(frame)) + frame
    single = b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks
    np.testing.assert_array_equal(decode(single, ROOM).pixels, COLOUR)


def test_a_picture_before_the_animation_does_not_hide_it() -> None:
    """A PNG may show one picture to those that know no animations, and another one to those that do."""
    assert refused(animation("PNG", 2, default_image=True)).code == "unsupported"


def test_of_a_jpeg_with_several_pictures_the_first_counts() -> None:
    first, second = (Image.fromarray(np.full((32, 48, 3), level, np.uint8)) for level in (40, 220))
    file = io.BytesIO()
    first.save(file, "MPO", save_all=True, append_images=[second])
    [only] = Pages(file.getvalue(), ROOM)
    assert only.doubt is None
    assert abs(int(only.pixels.mean()) - 40) < 3
