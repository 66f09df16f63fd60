"""Which classes and files a folder has, or a sentence that says why it cannot be used."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspectd.dataset.folder import FoundFile, find_classes, find_images, open_folder
from inspectd.errors import DataError
from inspectd.model.spec import ImageClass

OK, BAR, DENT = ImageClass("ok", True), ImageClass("bar", False), ImageClass("dent", False)

Make = Callable[..., Path]


def test_classes_are_folders_and_the_ok_ones_come_first(make: Make) -> None:
    root = make(ok=1, bar=1, **{"also fine": 1})
    (root / ".cache").mkdir()
    (root / "notes.txt").touch()
    assert find_classes(open_folder(root), ["ok", "also fine"]) == (ImageClass("also fine", True), OK, BAR)


@pytest.mark.parametrize("name", ["\udce9clat", "x" * 65])
def test_a_folder_whose_name_no_class_can_have_is_said(name: str, make: Make) -> None:
    root = make(ok=1, bar=1)
    (root / "bar").rename(root / name)
    with pytest.raises(DataError, match=r"1 to 64 characters in UTF-8\. Rename it"):
        find_classes(open_folder(root), ["ok"])


def test_images_lie_at_any_depth_but_are_not_hidden(make: Make) -> None:
    root = make(ok=2, bar=1)
    (root / "ok" / "monday").mkdir()
    (root / "ok" / "000.png").rename(root / "ok" / "monday" / "A.PNG")
    shutil.copy(root / "ok" / "001.png", root / "ok" / ".001.png")
    (root / "ok" / "notes.txt").touch()
    assert find_images(open_folder(root), [OK, BAR]) == [
        FoundFile("ok/001.png", 0),
        FoundFile("ok/monday/A.PNG", 0),
        FoundFile("bar/000.png", 1),
    ]


def test_a_name_that_is_no_utf8_is_text(make: Make) -> None:
    root = make(ok=1)
    (root / "ok" / "000.png").rename(root / "ok" / "\udcff.png")
    assert find_images(open_folder(root), [OK, BAR]) == [FoundFile("ok/%FF.png", 0)]


def test_a_class_may_have_no_folder(make: Make) -> None:
    assert [found.target for found in find_images(open_folder(make(bar=2)), [OK, BAR, DENT])] == [1, 1]


def test_a_folder_that_is_no_class_is_said(make: Make) -> None:
    with pytest.raises(DataError, match=r"scratch is not one of the classes ok, bar\. Move the folder away"):
        find_images(open_folder(make(ok=1, scratch=1)), [OK, BAR])


def test_a_folder_without_images_is_said(make: Make) -> None:
    with pytest.raises(DataError, match="has no images of the classes ok, bar"):
        find_images(open_folder(make(ok=0, bar=0)), [OK, BAR])


def test_what_a_system_keeps_for_itself_is_no_class_and_no_image(make: Make) -> None:
    root = make(ok=1, bar=1, **{"@eaDir": 1, "__MACOSX": 1, "lost+found": 1})
    shutil.copytree(root / "@eaDir", root / "bar" / "@eaDir" / "000.png")
    shutil.copy(root / "ok" / "000.png", root / "ok" / "000.sync-conflict-20260101-120000-ABCDEFG.png")
    folder = open_folder(root)
    assert find_classes(folder, ["ok"]) == (OK, BAR)
    assert find_images(folder, [OK, BAR]) == [FoundFile("ok/000.png", 0), FoundFile("bar/000.png", 1)]


def _blacken(folder: Path) -> None:
    """Make masks, of parts without a defect, of a folder's images."""
    for path in folder.iterdir():
        cv2.imwrite(str(path), np.zeros((16, 16), np.uint8))


@pytest.mark.parametrize(
    ("harm", "ok", "sentence"),
    [
        (lambda root: shutil.rmtree(root), ["ok"], "is not a folder"),
        (lambda root: [shutil.rmtree(root / name) for name in ("ok", "bar")], ["ok"], "has no folders"),
        (lambda root: shutil.rmtree(root / "bar"), ["ok"], r"has only OK classes \(ok\)"),
        (
            lambda root: _blacken((root / "bar").rename(root / "labels")),
            ["ok"],
            r"has only OK classes \(ok\)\. .* Left out as masks .*: 2, such as labels/000\.png\.",
        ),
        (lambda root: shutil.rmtree(root / "ok"), ["ok"], "--ok ok: .* has no such class. It has bar"),
        (lambda _: None, ["good"], "--ok good: .* has no such class. It has bar, ok"),
        (lambda _: None, [], "No class of .* is named as good"),
    ],
)
def test_classes_that_cannot_be_told_apart_are_said(
    harm: Callable[[Path], object], ok: list[str], sentence: str, make: Make
) -> None:
    root = make(ok=2, bar=2)
    harm(root)
    with pytest.raises(DataError, match=sentence):
        find_classes(open_folder(root), ok)
