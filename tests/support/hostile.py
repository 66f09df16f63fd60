"""Image files as an enemy, a dying disk or a torn cable would make them: valid ones flipped, cut and spliced.

Run as a program it is the child that decodes them, one line on standard output before and after each, so that whoever
reads knows which file was in hand when it died or fell silent.
"""

import io
import itertools
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from inspectd.vision.decode import Decoded, DecodeError, Pages

ROOM = 1_000_000  # pixels; the valid files have some thousand
SIZE = (48, 64)


@dataclass(frozen=True)
class Mutant:
    """A file, how it was made, and the valid one that it begins like."""

    kind: str
    way: str
    data: bytes
    origin: bytes


def pillow(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def opencv(pixels: np.ndarray, suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def _seeds() -> dict[str, list[bytes]]:
    """Valid files by format, in its usual flavours; of noise, because a repeated picture hides a splice."""
    rng = np.random.default_rng(20)
    colour = rng.integers(1, 256, (*SIZE, 3), dtype=np.uint8)
    other = rng.integers(1, 256, (*SIZE, 3), dtype=np.uint8)
    grey, deep = colour[..., 0], rng.integers(256, 65536, SIZE, dtype=np.uint16)
    palette = Image.fromarray(colour).quantize(16)
    paletted = io.BytesIO()
    palette.save(paletted, "PNG")
    pages = io.BytesIO()
    Image.fromarray(grey).save(pages, "TIFF", save_all=True, append_images=[Image.fromarray(other)])
    exif = Image.Exif()
    exif[274] = 6
    return {
        "PNG": [
            pillow(grey, "PNG"),
            pillow(deep, "PNG"),
            pillow(colour, "PNG", exif=exif),
            pillow(other, "PNG"),
            paletted.getvalue(),
        ],
        "JPEG": [
            pillow(colour, "JPEG"),
            pillow(other, "JPEG", progressive=True),
            opencv(grey, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
            pillow(colour, "JPEG", exif=exif),
        ],
        "TIFF": [
            pillow(grey, "TIFF"),
            pillow(colour, "TIFF", compression="tiff_lzw"),
            pillow(other, "TIFF", compression="tiff_adobe_deflate"),
            pillow(deep, "TIFF", big_tiff=True),
            opencv(deep, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 5),
            pages.getvalue(),
        ],
        "BMP": [pillow(grey, "BMP"), pillow(colour, "BMP"), pillow(other, "BMP")],
        "WEBP": [
            pillow(colour, "WEBP", quality=80),
            pillow(other, "WEBP", lossless=True),
            pillow(colour, "WEBP", quality=80, exif=exif),
        ],
    }


def _flipped(rng: np.random.Generator, whole: bytes, _other: bytes) -> bytes:
    """Some bits turned, half of the time within the header."""
    data = bytearray(whole)
    reach = len(data) if rng.random() < 0.5 else min(len(data), 300)
    for place in rng.integers(reach, size=rng.integers(1, 20)):
        data[place] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _overwritten(rng: np.random.Generator, whole: bytes, _other: bytes) -> bytes:
    """Two or four bytes of the header replaced by a number that hurts: 0, 1, the largest, the largest signed."""
    data = bytearray(whole)
    word = rng.choice(
        [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\1", b"\1\0\0\0"]
    )
    width = int(rng.choice([2, 4]))
    place = int(rng.integers(min(len(data), 300)))
    data[place : place + width] = bytes(word)[:width]
    return bytes(data)


def _cut(rng: np.random.Generator, whole: bytes, _other: bytes) -> bytes:
    return whole[: int(rng.integers(len(whole)))]


def _padded(rng: np.random.Generator, whole: bytes, _other: bytes) -> bytes:
    """Cut, and zeros up to its length: a copy that reserved its space."""
    return _cut(rng, whole, b"").ljust(len(whole), b"\0")


def _spliced(rng: np.random.Generator, whole: bytes, other: bytes) -> bytes:
    return whole[: int(rng.integers(len(whole)))] + other[int(rng.integers(len(other))) :]


def _holed(rng: np.random.Generator, whole: bytes, _other: bytes) -> bytes:
    """A piece taken out of the middle, or put in twice."""
    start, end = sorted(int(place) for place in rng.integers(len(whole), size=2))
    return whole[:start] + whole[end:] if rng.random() < 0.5 else whole[:end] + whole[start:]


Way = Callable[[np.random.Generator, bytes, bytes], bytes]
WAYS: dict[str, Way] = {
    "flipped": _flipped,
    "overwritten": _overwritten,
    "cut": _cut,
    "padded": _padded,
    "spliced": _spliced,
    "holed": _holed,
}


def mutants(start: int, stop: int) -> Iterator[Mutant]:
    """Those of an endless list, always the same, each of another format and another way."""
    seeds = _seeds()
    plan = itertools.islice(itertools.cycle(itertools.product(seeds, WAYS)), start, stop)
    for index, (kind, way) in enumerate(plan, start):
        rng = np.random.default_rng([7, index])
        whole, other = (seeds[kind][int(rng.integers(len(seeds[kind])))] for _ in range(2))
        yield Mutant(kind, way, WAYS[way](rng, whole, other), whole)


def main(start: int, stop: int) -> None:
    """Decode them all; a line with the index before, and one with what came of it after."""
    cap = 4 << 30
    resource.setrlimit(resource.RLIMIT_AS, (cap, cap))
    for index, mutant in enumerate(mutants(start, stop), start):
        _say(index=index)
        began = time.process_time()
        code, passed, same = "", False, False
        try:
            decoded = list(Pages(mutant.data, ROOM))
        except DecodeError as error:
            code = error.code
        else:
            passed = not any(page.doubt or page.unproven for page in decoded)
            same = passed and _are_same(decoded, list(Pages(mutant.origin, ROOM)))
        seconds = time.process_time() - began
        told = {
            "way": mutant.way,
            "kind": mutant.kind,
            "code": code,
            "passed": passed,
            "same": same,
            "seconds": seconds,
        }
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _say(index=index, memory=memory, **told)


def _are_same(some: list[Decoded], others: list[Decoded]) -> bool:
    pairs = zip(some, others, strict=False)
    return len(some) == len(others) and all(np.array_equal(one.pixels, other.pixels) for one, other in pairs)


def _say(**fields: object) -> None:
    sys.stdout.write(f"{json.dumps(fields)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
