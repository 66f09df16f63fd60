"""What a scan leaves out: by the globs, and because a system keeps it for itself."""

from pathlib import Path
from typing import Any

from inspectd.ingest.left_out import MOST_ENDINGS, OTHER, LeftOut, count
from inspectd.ingest.naming import Naming
from inspectd.ingest.scan import Scanner

FOREVER = float("inf")
CAMERA = ["0001.jpg", "left/0002.JFIF", "0003.jpe"]
SYSTEM = [
    *("@eaDir/0001.jpg/SYNOPHOTO_THUMB_XL.jpg", "left/@eaDir/0002.jpg/SYNOPHOTO_THUMB_XL.jpg", "#recycle/0000.jpg"),
    *("@Recycle/0000.jpg", "$RECYCLE.BIN/S-1-5-21/$RABC123.jpg", "System Volume Information/thumb.jpg"),
    *("lost+found/#1234.jpg", "__MACOSX/0001.jpg", "found.000/file0000.jpg", "THUMBS.DB"),
    *("0002.sync-conflict-20260101-120000-ABCDEFG.jpg", "0003 (conflicted copy 2026-01-01).jpg"),
]
HIDDEN = [".@__thumb/0001.jpg", ".Trash-1000/files/0.jpg", "._0001.jpg", "0004.jpg.part", "~$x.jpg"]


def write(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"image")


def scan(bench: Any, **keys: Any) -> tuple[list[str], LeftOut | None]:
    """The paths that one whole scan takes, and what it leaves out."""
    watch = bench.watch(**keys)
    scanner = Scanner(watch, Naming(watch), bench.queue)
    assert scanner.left_out is None
    return sorted(path for path, _ in scanner.advance(0.0, FOREVER)), scanner.left_out


def test_a_systems_own_is_left_alone_and_counted(bench: Any) -> None:
    write(bench.folder, CAMERA + SYSTEM + HIDDEN)
    taken, left_out = scan(bench)
    assert taken == sorted(CAMERA)
    assert left_out == LeftOut(globs={}, system={"folder": 9, ".jpg": 2, ".db": 1})
    assert str(left_out) == "a system's own, left alone: 9 folders, 2 .jpg, 1 .db"


def test_it_is_inspected_where_the_watch_wants_it(bench: Any) -> None:
    write(bench.folder, CAMERA + SYSTEM + HIDDEN)
    taken, left_out = scan(bench, system_files=True)
    assert taken == sorted({*CAMERA, *SYSTEM} - {"THUMBS.DB"})
    assert left_out == LeftOut(globs={".db": 1}, system={})


def test_what_the_watch_does_not_want_is_counted_by_ending(bench: Any) -> None:
    write(bench.folder, ["a.png", "a.TIFF", "deep/b.tiff", "b.txt", "thumbs/a.png", "README", "x.2026-01-01-part1"])
    write(bench.folder, ["a.png.part", ".hidden.txt"])
    (bench.folder / "link.png").symlink_to("a.png")
    (bench.folder / "again").symlink_to("deep")
    taken, left_out = scan(bench, include=["**/*.png"], ignore=["thumbs"])
    assert taken == ["a.png"]
    counts = {".tiff": 2, ".txt": 1, "folder": 1, "no ending": 1, "other ending": 1, "link": 2}
    assert left_out == LeftOut(globs=counts, system={})
    assert str(left_out) == "2 .tiff, 2 links, 1 .txt, 1 folder, 1 with no ending, 1 with another ending"
    assert scan(bench, include=["*.txt"], recursive=False)[1] == LeftOut(
        globs={".png": 1, ".tiff": 1, "folder": 2, "no ending": 1, "other ending": 1, "link": 2}, system={}
    )


def test_an_event_for_a_systems_own_file_is_no_hint(bench: Any) -> None:
    naming = Naming(bench.watch())
    assert not naming.reaches("left/@eaDir/0001.jpg/SYNOPHOTO_THUMB_XL.jpg")
    assert not naming.reaches("0002.sync-conflict-20260101-120000-ABCDEFG.jpg")
    assert naming.reaches("left/0001.jpg")


def test_a_program_that_numbers_its_endings_does_not_fill_the_memory() -> None:
    counts: dict[str, int] = {}
    for number in range(10 * MOST_ENDINGS):
        count(counts, f".{number}")
    assert len(counts) == MOST_ENDINGS + 1
    assert counts[OTHER] == 9 * MOST_ENDINGS
    assert str(LeftOut(counts)).endswith(", 95 more")
