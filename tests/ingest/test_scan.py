"""What a scan takes, what it passes over, and that it can be stopped anywhere."""

import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from inspectd.domain import Stat
from inspectd.ingest.naming import Naming
from inspectd.ingest.scan import CHUNK, TAIL, Scanner, is_hollow
from inspectd.ledger.records import Arrival
from inspectd.paths import to_text

FOREVER = float("inf")


def scanner(bench: Any, **keys: Any) -> Scanner:
    watch = bench.watch(**keys)
    return Scanner(watch, Naming(watch), bench.queue)


def scan(walker: Scanner, now: float = 0.0) -> list[str]:
    """One whole pass; the unknown paths in order."""
    walker.request()
    found = []
    while walker.next_due() <= now:
        found += walker.advance(now, FOREVER)
        assert len(found) <= 10_000, "a loop is walked round and round"
    return sorted(path for path, _ in found)


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"image")
    return path


def test_it_finds_every_file_with_its_stat(bench: Any) -> None:
    for name in ("a.png", "a.jpg", "sub/a.png", "sub/deep/er/b.TIF"):
        write(bench.folder / name)
    found = scanner(bench).advance(0.0, FOREVER)
    assert dict(found) == {
        name: Stat.of((bench.folder / name).stat()) for name in ("a.png", "a.jpg", "sub/a.png", "sub/deep/er/b.TIF")
    }


def test_odd_names(bench: Any) -> None:
    names = ["line\nbreak.png", "x" * 251 + ".png", os.fsdecode(b"latin\xe9.png"), "100%25.png", " .png", "-rf.png"]
    for name in names:
        write(bench.folder / name)
    assert scan(scanner(bench)) == sorted(names)
    bench.start(observe=False)
    bench.run(2.0)
    assert sorted(claim.path for claim in bench.claim()) == sorted(to_text(name) for name in names)


def test_what_is_no_regular_file_is_passed_over(bench: Any) -> None:
    (bench.folder / "folder.png").mkdir()
    write(bench.folder / "folder.png" / "in.png")
    os.mkfifo(bench.folder / "pipe.png")
    here = os.open(bench.folder, os.O_RDONLY)  # a socket's path is short: bind it by way of the folder
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(f"/proc/self/fd/{here}/socket.png")
    os.close(here)
    assert scan(scanner(bench)) == ["folder.png/in.png"]


def test_subfolders_only_when_recursive(bench: Any) -> None:
    write(bench.folder / "a.png")
    write(bench.folder / "sub" / "b.png")
    assert scan(scanner(bench, recursive=False)) == ["a.png"]


def test_ignored_and_hidden_folders_are_not_walked(bench: Any) -> None:
    for name in (".snapshot/a.png", "thumbs/a.png", "keep/a.png"):
        write(bench.folder / name)
    assert scan(scanner(bench, ignore=["thumbs"])) == ["keep/a.png"]


def test_links_are_skipped(bench: Any) -> None:
    target = write(bench.outside / "real.png")
    (bench.folder / "link.png").symlink_to(target)
    (bench.folder / "linked").symlink_to(bench.outside)
    assert scan(scanner(bench)) == []


def test_links_are_followed_when_told_to(bench: Any) -> None:
    target = write(bench.outside / "real.png")
    (bench.folder / "link.png").symlink_to(target)
    (bench.folder / "linked").symlink_to(bench.outside)
    (bench.folder / "broken.png").symlink_to("nowhere")
    (bench.folder / "self.png").symlink_to("self.png")
    assert scan(scanner(bench, follow_links=True)) == ["link.png", "linked/real.png"]


def test_loops_of_links_end(bench: Any) -> None:
    write(bench.folder / "one" / "a.png")
    write(bench.folder / "two" / "b.png")
    for number in range(5):
        (bench.folder / "one" / f"up{number}").symlink_to("..")
    (bench.folder / "one" / "other").symlink_to("../two")
    (bench.folder / "two" / "other").symlink_to("../one")
    assert scan(scanner(bench, follow_links=True)) == ["one/a.png", "one/other/b.png", "two/b.png", "two/other/a.png"]


def test_known_files_are_left_out_and_changed_ones_are_not(bench: Any) -> None:
    for name in ("same.png", "changed.png", "new.png"):
        write(bench.folder / name)
    stats = dict(scanner(bench).advance(0.0, FOREVER))
    bench.queue.arrivals.enqueue("line", [Arrival(name, stats[name]) for name in ("same.png", "changed.png")])
    (bench.folder / "changed.png").write_bytes(b"another image")
    assert scan(scanner(bench)) == ["changed.png", "new.png"]


def test_a_slice_is_short_and_the_next_goes_on_where_it_ended(bench: Any) -> None:
    names = {f"{number}.png" for number in range(20)}
    for name in names:
        write(bench.folder / name)
    walker = scanner(bench)
    slices = []
    while walker.next_due() <= 0.0:
        slices.append(walker.advance(0.0, until=time.monotonic()))  # no time at all: one entry each
    assert max(len(files) for files in slices) == 1
    assert {path for files in slices for path, _ in files} == names


def test_a_slice_hands_over_one_chunk_at_most(bench: Any) -> None:
    for number in range(CHUNK + 1):
        write(bench.folder / f"{number}.png")
    walker = scanner(bench)
    assert [len(walker.advance(0.0, FOREVER)) for _ in range(2)] == [CHUNK, 1]
    assert walker.is_done


def test_it_is_due_every_rescan_seconds_and_when_requested(bench: Any) -> None:
    walker = scanner(bench, rescan=60.0)
    assert walker.next_due() <= 0.0
    walker.advance(0.0, FOREVER)
    assert walker.next_due() == 60.0
    write(bench.folder / "a.png")
    assert walker.advance(59.9, FOREVER) == []
    walker.request()
    assert [path for path, _ in walker.advance(59.9, FOREVER)] == ["a.png"]
    assert walker.next_due() == 59.9 + 60.0


def test_a_request_during_a_scan_is_answered_by_another_one(bench: Any) -> None:
    write(bench.folder / "a.png")
    walker = scanner(bench)
    walker.advance(0.0, until=time.monotonic())
    walker.request()
    walker.advance(0.0, FOREVER)
    assert not walker.is_done
    assert walker.next_due() <= 0.0
    assert [path for path, _ in walker.advance(0.0, FOREVER)] == ["a.png"]
    assert walker.is_done


def test_a_long_scan_is_made_the_more_rarely(bench: Any) -> None:
    for number in range(2000):
        write(bench.folder / f"{number}.png")
    walker = scanner(bench, rescan=1.0)
    began = time.monotonic()
    scan(walker)
    took = time.monotonic() - began
    assert 1.0 < walker.next_due() <= 100 * took


def test_a_folder_that_cannot_be_read_is_said_once_and_skipped(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    write(bench.folder / "good" / "a.png")
    handle = bench.dig()
    image = os.open("deep.png", os.O_WRONLY | os.O_CREAT, dir_fd=handle)
    os.close(image)
    os.close(handle)
    caplog.set_level(logging.INFO)
    walker = scanner(bench)
    assert scan(walker) == ["good/a.png"]
    assert scan(walker) == ["good/a.png"]
    assert [record.message.endswith("its files wait until it can.") for record in caplog.records] == [True]

    caplog.clear()
    bench.fill_up()
    found = scan(walker)
    assert scan(walker) == found
    assert [path.rpartition("/")[2] for path in found] == ["deep.png", "a.png"]
    assert [record.message.endswith("can be read again.") for record in caplog.records] == [True]


def test_the_tail_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def hollow(data: bytes) -> bool:
        path.write_bytes(data)
        return is_hollow(path, len(data))

    assert hollow(b"")
    assert hollow(bytes(100))
    assert hollow(b"image" + bytes(TAIL))
    assert not hollow(b"image" + bytes(TAIL - 1))
    assert not hollow(b"image")
    assert not hollow(bytes(100_000) + b"e")
    assert is_hollow(tmp_path / "missing.png", 100)
    os.mkfifo(tmp_path / "pipe.png")
    assert is_hollow(tmp_path / "pipe.png", 100)
