"""Images read a few at a time, in order, whatever they hold."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from inspectd.dataset.folder import FoundFile, find_images, open_folder
from inspectd.dataset.pictures import THREADS, Picture, Unreadable, read_pictures
from inspectd.model.spec import ImageClass
from inspectd.vision.decode import decode

CLASSES = [ImageClass("ok", True), ImageClass("bar", False)]

Make = Callable[..., Path]


def test_are_the_daemons_pixels_in_order_with_their_hash(make: Make) -> None:
    root = make(ok=12, bar=9)
    files = find_images(open_folder(root), CLASSES)
    read = list(read_pictures(root, files, bits=16))
    assert [(each.path, each.target) for each in read] == [(file.path, file.target) for file in files]
    for each in read:
        data = (root / each.path).read_bytes()
        assert isinstance(each, Picture)
        assert each.sha256 == hashlib.sha256(data).hexdigest()
        assert np.array_equal(each.pixels, decode(data, 10**6).pixels)
        assert each.doubt is None


def test_what_is_no_image_or_in_doubt_keeps_its_place(make: Make) -> None:
    root = make(ok=1)
    (root / "ok" / "001.png").write_text("no image")
    jpeg = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))[1].tobytes()
    (root / "ok" / "002.jpg").write_bytes(jpeg[: len(jpeg) // 2] + b"\xff\xd9")
    sheets = [Image.new("L", (64, 64), level) for level in (30, 220)]
    sheets[0].save(root / "ok" / "003.tif", save_all=True, append_images=sheets[1:])
    found = [*find_images(open_folder(root), CLASSES), FoundFile("ok/gone.png", 0)]
    first, second, third, pages, gone = read_pictures(root, found, bits=16)
    assert isinstance(first, Picture)
    assert str(second).startswith("ok/001.png: ")
    assert isinstance(third, Picture)
    assert third.doubt
    assert str(pages).startswith("ok/003.tif: The file has 2 pages where one picture is needed")
    assert gone == Unreadable("ok/gone.png", 0, "cannot be read (No such file or directory)")


def test_one_that_is_too_large_says_what_to_do_without_a_configuration(tmp_path: Path) -> None:
    Image.new("1", (20_000, 6_000)).save(tmp_path / "large.png")
    [found] = read_pictures(tmp_path, [FoundFile("large.png", 0)], bits=16)
    assert isinstance(found, Unreadable)
    assert found.reason == (
        "It has more than 100,000,000 pixels, or more than the memory holds; scale it down or cut it into parts."
    )


@pytest.mark.parametrize("name", ["\udcff.png", "%41.png"])
def test_a_name_of_any_bytes_is_found_again(name: str, make: Make) -> None:
    root = make(ok=1)
    (root / "ok" / "000.png").rename(root / "ok" / name)
    assert isinstance(next(read_pictures(root, find_images(open_folder(root), CLASSES), bits=16)), Picture)


def test_are_not_read_before_they_are_wanted(make: Make) -> None:
    root = make(ok=40)
    asked: list[str] = []

    def files() -> object:
        for file in find_images(open_folder(root), CLASSES):
            asked.append(file.path)
            yield file

    reading = read_pictures(root, files(), bits=16)  # type: ignore[arg-type]
    next(reading)
    assert len(asked) <= THREADS + 2
    assert len(list(reading)) == 39
