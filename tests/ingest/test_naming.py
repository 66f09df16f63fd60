"""Which names are looked at, and what they say about the part."""

from pathlib import Path
from typing import Any

import pytest

from inspectd.config import Watch
from inspectd.ingest.naming import Naming


def naming(**keys: Any) -> Naming:
    return Naming(Watch(**{"name": "line", "path": Path("in"), "model": Path("model"), **keys}))


@pytest.mark.parametrize(
    "path",
    ["a.png", "A.PNG", "sub/a.jpeg", "a b.tif", "line\nbreak.bmp", "bytes\udcff.webp", "x" * 251 + ".png", "a~1.png"],
)
def test_images_are_taken_whatever_their_name(path: str) -> None:
    assert naming().takes(path)


@pytest.mark.parametrize(
    "name",
    ["a.png.part", "a.png.PART", "a.tmp", "a.crdownload", "a.png~", "~a.png", ".a.png", "a.filepart", "a.partial"],
)
def test_temporary_names_are_left_alone_even_if_included(name: str) -> None:
    assert not naming(include=["*"]).takes(name)
    assert not naming(include=["*"]).takes(f"sub/{name}")


def test_only_included_names_are_taken() -> None:
    assert not naming().takes("notes.txt")
    assert not naming().takes("apng")
    assert naming(include=["cam?_*.raw"]).takes("CAM1_7.raw")


def test_patterns_are_held_against_name_and_path() -> None:
    station = naming(include=["left/*.png"], ignore=["*_preview.png", "left/old/*"])
    assert station.takes("left/a.png")
    assert station.takes("LEFT/deep/a.png")
    assert not station.takes("right/a.png")
    assert not station.takes("left/a_Preview.png")
    assert not station.takes("left/old/a.png")


def test_folders_that_are_ignored_or_hidden_are_not_entered() -> None:
    folders = naming(ignore=["thumbs", "2024/*"])
    assert folders.enters("2025")
    assert folders.enters("2025/a.png")
    assert not folders.enters("2025/Thumbs")
    assert not folders.enters("2024/01")
    assert not folders.enters(".snapshot")


def test_a_path_from_an_event_is_judged_by_all_its_folders() -> None:
    folders = naming(ignore=["thumbs"])
    assert folders.reaches("a/b/c.png")
    assert not folders.reaches("a/.b/c.png")
    assert not folders.reaches("thumbs/b/c.png")
    assert not folders.reaches("a/b/.c.png")


def test_fields_come_from_the_name_without_its_ending() -> None:
    fields = naming(fields=r"(?P<part>\d+)_(?P<station>[a-z]+)(?:_(?P<side>[lr]))?$")
    assert fields.fields("2026/lot_4711_weld.png") == ("4711", {"part": "4711", "station": "weld"})
    assert fields.fields("4711_weld_l.png") == ("4711", {"part": "4711", "station": "weld", "side": "l"})
    assert fields.fields("4711.png") == (None, {})
    assert naming().fields("4711_weld.png") == (None, {})


def test_fields_hold_text_whatever_the_bytes_of_the_name() -> None:
    assert naming(fields=r"(?s)(?P<part>.+)").fields("a\udcff\n1.png") == ("a%FF\n1", {"part": "a%FF\n1"})
