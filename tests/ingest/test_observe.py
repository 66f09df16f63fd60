"""The observer: every way a file can arrive, with real events, and everything that can befall it."""

import logging
import os
import resource
import shutil
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inspectd.ingest import watchdogs
from inspectd.ingest.hints import MOST_HINTS, Hint, Hints
from inspectd.ingest.naming import Naming
from inspectd.ingest.observe import Observer, needs_polling
from inspectd.ledger.records import Unsettled

BACKENDS = ("inotify", "polling")
SETTLE = 2.0


def in_place(folder: Path, outside: Path) -> str:  # noqa: ARG001
    (folder / "a.png").write_bytes(b"image")
    return "a.png"


def overwritten(folder: Path, outside: Path) -> str:  # noqa: ARG001
    (folder / "old.png").write_bytes(b"another image")
    return "old.png"


def part_renamed(folder: Path, outside: Path) -> str:  # noqa: ARG001
    (folder / "a.png.part").write_bytes(b"image")
    (folder / "a.png.part").rename(folder / "a.png")
    return "a.png"


def renamed_over(folder: Path, outside: Path) -> str:  # noqa: ARG001
    (folder / "old.png.part").write_bytes(b"another image")
    (folder / "old.png.part").rename(folder / "old.png")
    return "old.png"


def renamed_in(folder: Path, outside: Path) -> str:
    (outside / "a.png").write_bytes(b"image")
    (outside / "a.png").rename(folder / "a.png")
    return "a.png"


def hard_linked(folder: Path, outside: Path) -> str:
    (outside / "a.png").write_bytes(b"image")
    os.link(outside / "a.png", folder / "a.png")
    return "a.png"


def symlinked(folder: Path, outside: Path) -> str:
    (outside / "a.png").write_bytes(b"image")
    (folder / "a.png").symlink_to(outside / "a.png")
    return "a.png"


def folder_moved_in(folder: Path, outside: Path) -> str:
    (outside / "lot" / "deep").mkdir(parents=True)
    (outside / "lot" / "deep" / "a.png").write_bytes(b"image")
    (outside / "lot").rename(folder / "lot")
    return "lot/deep/a.png"


def folder_renamed(folder: Path, outside: Path) -> str:  # noqa: ARG001
    (folder / ".hidden").rename(folder / "lot")
    return "lot/a.png"


def in_new_folders(folder: Path, outside: Path) -> str:  # noqa: ARG001
    (folder / "new" / "er").mkdir(parents=True)
    (folder / "new" / "er" / "a.png").write_bytes(b"image")
    return "new/er/a.png"


AT_ONCE = (in_place, overwritten, part_renamed, renamed_over, renamed_in)  # inotify: the writer is known to be done
SETTLED = (hard_linked, symlinked, folder_moved_in, folder_renamed)
EITHER = (in_new_folders,)  # whether the close is seen depends on who is quicker
Way = Callable[[Path, Path], str]


@pytest.fixture(autouse=True)
def _quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdogs, "POLL", 0.05)


def started(bench: Any, backend: str, **keys: Any) -> Any:
    """An intake that has scanned its folder and, if it polls, taken its first picture."""
    intake = bench.start(backend=backend, **keys)
    assert set(intake.backends.values()) == {backend}
    if backend == "polling":
        bench.until(lambda: len(lost_events(bench)) > 0, "the first picture")
    return intake


def lost_events(bench: Any) -> list[str]:
    return [message for message in bench.log.messages if "events were lost" in message]


@pytest.fixture
def bench(bench: Any, caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO)
    bench.log = caplog
    return bench


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("way", AT_ONCE + SETTLED + EITHER)
def test_every_way_of_arriving(bench: Any, way: Way, backend: str) -> None:
    (bench.folder / "old.png").write_bytes(b"image")
    (bench.folder / ".hidden").mkdir()
    (bench.folder / ".hidden" / "a.png").write_bytes(b"image")
    started(bench, backend, follow_links=True)
    bench.run(SETTLE)
    assert bench.is_known("old.png")

    path = way(bench.folder, bench.outside)
    if way in AT_ONCE and backend == "inotify":
        bench.until(lambda: bench.is_known(path), "the file queued, with the clock standing still")
    else:
        bench.until(lambda: not bench.intake.quiet() or bench.is_known(path), "word of the file")
        assert way in EITHER or not bench.is_known(path)
        bench.arrives(path)
    assert set(bench.rows()) == {"old.png", path}
    if way not in EITHER:
        assert bench.closed(path) == (way in AT_ONCE and backend == "inotify")
    assert bench.intake.quiet()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("follow_links", [False, True])
def test_loops_of_links_hold_up_no_event(bench: Any, backend: str, follow_links: bool) -> None:
    for name in ("up", "over", "around"):
        (bench.folder / name).symlink_to(".")
    started(bench, backend, follow_links=follow_links)
    (bench.folder / "a.png").write_bytes(b"image")
    bench.arrives("a.png")
    assert set(bench.rows()) == {"a.png"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_slow_writer_is_waited_for(bench: Any, backend: str) -> None:
    started(bench, backend)
    with (bench.folder / "a.png").open("wb", buffering=0) as file:
        file.write(b"half an ")
        bench.until(lambda: not bench.intake.quiet(), "word of the file")
        for _ in range(3):
            file.write(b"im")
            bench.run(SETTLE - 0.1)
            assert bench.rows() == {}
        file.write(b"age")
    if backend == "inotify":
        bench.until(lambda: bench.is_known("a.png"), "the close")
    bench.run(SETTLE)
    bench.run(SETTLE)
    assert bench.is_known("a.png")


def hear_all(bench: Any) -> None:
    """Wait for all inotify events so far: they come in order, so that the close of a later file is the last."""
    (bench.folder / "later.png").write_bytes(b"image")
    bench.until(lambda: bench.is_known("later.png"), "the close of the later file")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("data", [b"", b"head" + bytes(10_000)], ids=["empty", "zero tail"])
def test_a_preallocated_copy_is_not_taken_on_its_event(bench: Any, backend: str, data: bytes) -> None:
    started(bench, backend)
    (bench.folder / "a.png").write_bytes(data)
    bench.until(lambda: not bench.intake.quiet(), "word of the file")
    if backend == "inotify":
        hear_all(bench)
    bench.run(SETTLE - 0.1)
    assert "a.png" not in bench.rows()
    bench.run(0.1)
    assert bench.is_known("a.png")
    assert bench.closed("a.png") == (backend == "inotify")


def test_a_preallocated_copy_that_pauses_is_not_closed_although_it_was_opened_and_closed_before(bench: Any) -> None:
    """The copying program reserves the space, closes the file, and opens it again to fill it."""
    started(bench, "inotify")
    (bench.folder / "a.png").write_bytes(bytes(10_000))
    hear_all(bench)
    with (bench.folder / "a.png").open("r+b", buffering=0) as file:
        file.write(b"half an image")
        bench.run(SETTLE)
        bench.run(SETTLE)
        assert bench.is_known("a.png")
        assert not bench.closed("a.png")
        [claim] = [each for each in bench.claim() if each.path == "a.png"]
        bench.finish(Unsettled(claim, "truncated: the file ends early", "f" * 64))
        bench.run(1.0)
        file.write(b"and the rest" * 1000)
    bench.until(lambda: bench.is_known("a.png"), "the close, which shortens the second look")
    assert bench.closed("a.png")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_folder_deleted_and_made_again_is_watched_again(bench: Any, backend: str) -> None:
    intake = started(bench, backend)
    shutil.rmtree(bench.folder)
    bench.run(1.0)
    bench.run(1.0)
    assert intake.missing == ["line"]
    assert intake.quiet()
    assert [record.message.count("is missing") for record in bench.log.records if record.levelname == "WARNING"] == [1]

    bench.folder.mkdir()
    bench.run(1.0)
    assert intake.missing == []
    assert sum("watched again" in message for message in bench.log.messages) == 1
    (bench.folder / "a.png").write_bytes(b"image")
    bench.arrives("a.png")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_folder_replaced_between_two_looks_is_scanned_and_watched(bench: Any, backend: str) -> None:
    started(bench, backend)
    bench.folder.rename(bench.outside / "renamed")
    bench.folder.mkdir()
    (bench.folder / "early.png").write_bytes(b"image")
    bench.run(1.0)
    bench.run(SETTLE)
    assert bench.is_known("early.png")
    if backend == "polling":
        bench.until(lambda: len(lost_events(bench)) > 1, "the first picture of the new folder")
    (bench.outside / "renamed" / "gone.png").write_bytes(b"image")
    (bench.folder / "late.png").write_bytes(b"image")
    bench.arrives("late.png")
    assert set(bench.rows()) == {"early.png", "late.png"}


def test_a_missing_folder_is_no_crash_and_is_taken_up_when_it_comes(bench: Any) -> None:
    bench.folder.rmdir()
    intake = bench.start()
    assert intake.missing == ["line"]
    bench.folder.mkdir()
    (bench.folder / "a.png").write_bytes(b"image")
    bench.run(1.0)
    bench.run(SETTLE)
    assert bench.is_known("a.png")


def test_a_folder_behind_a_link_is_watched_and_followed_when_it_points_elsewhere(bench: Any) -> None:
    (bench.outside / "day1").mkdir()
    (bench.outside / "day2").mkdir()
    link = bench.outside / "today"
    link.symlink_to("day1")
    bench.start(path=link)
    (bench.outside / "day1" / "a.png").write_bytes(b"image")
    bench.until(lambda: "a.png" in bench.rows(), "a file in the linked folder")
    link.unlink()
    link.symlink_to("day2")
    bench.run(1.0)
    (bench.outside / "day2" / "b.png").write_bytes(b"image")
    bench.until(lambda: "b.png" in bench.rows(), "a file in the other folder")


def test_a_reader_that_died_is_replaced(bench: Any) -> None:
    bench.start()
    reader = next(thread for thread in threading.enumerate() if type(thread).__name__ == "_Reader")
    reader.stop()
    reader.join()
    (bench.folder / "unseen.png").write_bytes(b"image")
    bench.run(1.0)
    (bench.folder / "seen.png").write_bytes(b"image")
    bench.until(lambda: bench.is_known("seen.png"), "a file after the reader was replaced")
    bench.run(SETTLE)
    assert bench.is_known("unseen.png")


def test_an_emitter_that_died_is_replaced(bench: Any) -> None:
    bench.start()
    emitter = next(thread for thread in threading.enumerate() if type(thread).__name__ == "InotifyEmitter")
    emitter.stop()
    emitter.join()
    (bench.folder / "unseen.png").write_bytes(b"image")
    bench.run(1.0)
    (bench.folder / "seen.png").write_bytes(b"image")
    bench.until(lambda: bench.is_known("seen.png"), "a file after the emitter was replaced")
    bench.run(SETTLE)
    assert bench.is_known("unseen.png")


def test_an_observer_that_died_is_replaced(bench: Any) -> None:
    bench.start()
    observer = next(thread for thread in threading.enumerate() if type(thread).__name__ == "InotifyObserver")
    observer.stop()
    observer.join()
    (bench.folder / "unseen.png").write_bytes(b"image")
    bench.run(1.0)
    (bench.folder / "seen.png").write_bytes(b"image")
    bench.until(lambda: bench.is_known("seen.png"), "a file after the observer was replaced")
    bench.run(SETTLE)
    assert bench.is_known("unseen.png")
    assert bench.intake.counters["line"].missed == 0


def test_a_folder_renamed_is_missing_and_taken_up_again_when_it_is_back(bench: Any) -> None:
    (bench.folder / "old.png").write_bytes(b"image")
    bench.start()
    bench.run(SETTLE)
    bench.folder.rename(bench.outside / "renamed")
    (bench.outside / "renamed" / "elsewhere.png").write_bytes(b"image")
    bench.run(1.0)
    assert bench.intake.missing == ["line"]
    (bench.outside / "renamed").rename(bench.folder)
    bench.run(1.0)
    bench.run(SETTLE)
    (bench.folder / "new.png").write_bytes(b"image")
    bench.until(lambda: bench.is_known("new.png"), "a file after the folder was back")
    assert set(bench.rows()) == {"old.png", "elsewhere.png", "new.png"}
    assert sum(bench.enqueued) == 3


def test_a_failure_while_an_event_is_handled_does_not_end_the_observer(bench: Any) -> None:
    woken = bench.wake

    def wake() -> None:
        woken()
        raise RuntimeError("no")

    bench.wake = wake
    bench.start()
    for name in ("a.png", "b.png"):
        (bench.folder / name).write_bytes(b"image")
        # The clock stands still, so neither a scan nor a new observer can have found the file.
        bench.until(lambda name=name: bench.is_known(name), name)


def test_an_overflow_of_the_kernels_queue_loses_no_file(bench: Any) -> None:
    """6,000 files or more while watchdog's reader stands still: its own debug log line is where it is held."""
    number = max(6000, int(Path("/proc/sys/fs/inotify/max_queued_events").read_text()) // 4 + 500)
    started(bench, "inotify")
    held, go = threading.Event(), threading.Event()

    class Hold(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
            held.set()
            go.wait()

    talk = logging.getLogger("watchdog.observers.inotify_move_event_grouper")
    hold = Hold()
    talk.addHandler(hold)
    talk.setLevel(logging.DEBUG)
    try:
        (bench.folder / "first.png").write_bytes(b"image")
        assert held.wait(60)
        talk.setLevel(logging.NOTSET)
        for index in range(number):  # four events each: created, closed, moved from, moved to
            (bench.folder / f"{index}.part").write_bytes(b"image")
            (bench.folder / f"{index}.part").rename(bench.folder / f"{index}.png")
    finally:
        talk.removeHandler(hold)
        go.set()
    bench.until(lambda: len(lost_events(bench)) > 0, "the overflow")
    bench.run(SETTLE)
    bench.until(bench.intake.quiet, "everything seen")
    assert set(bench.rows()) == {"first.png", *(f"{index}.png" for index in range(number))}


def test_watchdogs_endless_warning_is_not_printed(bench: Any) -> None:
    (bench.folder / "lot" / "deep").mkdir(parents=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bench.start()
        (bench.folder / "lot").rename(bench.outside / "lot")  # watchdog goes on watching it there
        (bench.outside / "lot" / "deep" / "a.png").write_bytes(b"image")
        (bench.outside / "lot").rename(bench.folder / "lot")  # and warns of each folder that it now watches twice
        bench.until(lambda: "lot/deep/a.png" in bench.rows() or not bench.intake.quiet(), "word of the file")
    assert [str(warning.message)[:200] for warning in caught if warning.category is RuntimeWarning] == []


def test_where_no_events_can_be_had_it_says_so_once_and_goes_on_trying(bench: Any) -> None:
    watch = bench.watch(backend="inotify")
    observer = Observer(watch, Naming(watch), Hints(bench.wake), events=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # no file can be opened, so no inotify instance either
    try:
        assert observer.tend(), "the folder is new: scan it all the same"
        assert not observer.tend()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert observer.tend()
    assert not observer.tend()
    observer.stop()
    assert [("no events" in message, "watched again" in message) for message in bench.log.messages] == [
        (True, False),
        (False, True),
    ]


def test_a_folder_that_could_not_be_read_at_the_start_gives_events_once_it_can(bench: Any) -> None:
    handle = bench.dig()
    bench.start(rescan=100.0)
    bench.fill_up()
    bench.run(100.0)  # the scan finds that it can be read
    bench.run(1.0)
    bench.run(1.0)
    image = os.open("deep.png", os.O_WRONLY | os.O_CREAT, dir_fd=handle)
    os.write(image, b"image")
    os.close(image)
    os.close(handle)
    bench.until(lambda: any(path.endswith("deep.png") for path in bench.rows()), "an event, for no scan is due")


def test_a_missing_folder_is_an_event_and_so_is_its_return(bench: Any) -> None:
    bench.folder.rmdir()
    intake = bench.start()
    assert intake.backends == {"line": "folder missing"}
    bench.run(60.0)
    bench.folder.mkdir()
    bench.run(1.0)
    with bench.engine.connect() as connection:
        told = [row[0] for row in connection.exec_driver_sql("select detail from events where kind = 'watch'")]
    folder = f"line: the folder '{bench.folder}'"
    waited = f"{folder} is missing or cannot be read; inspectd waits until it is back"
    assert told == [waited, f"{folder} is watched again"]


def test_without_observers_no_thread_is_started(bench: Any) -> None:
    before = threading.active_count()
    bench.start(observe=False)
    assert threading.active_count() == before
    assert bench.intake.quiet()


def test_events_of_subfolders_and_of_other_names_are_no_news(bench: Any) -> None:
    (bench.folder / "sub").mkdir()
    bench.start(recursive=False)
    (bench.folder / "sub" / "a.png").write_bytes(b"image")
    (bench.folder / "notes.txt").write_bytes(b"text")
    (bench.folder / "a.png").write_bytes(b"image")
    bench.until(lambda: bench.is_known("a.png"), "the one that counts")
    bench.run(60.0)
    bench.run(SETTLE)
    assert set(bench.rows()) == {"a.png"}


def test_hints_are_bounded_and_say_what_they_dropped() -> None:
    woken = []
    hints = Hints(lambda: woken.append(True))
    for number in range(MOST_HINTS):
        hints.put(str(number), Hint(closed=False, event=False))
    hints.put("0", Hint(closed=True, event=True))
    assert hints.take(2) == ({"0": Hint(closed=True, event=True), "1": Hint(closed=False, event=False)}, False)
    for number in range(3):
        hints.put(f"more {number}", Hint(closed=False, event=False))
    paths, lost = hints.take(MOST_HINTS + 1)
    assert (len(paths), lost) == (MOST_HINTS, True)
    assert woken == [True]
    assert not hints


@pytest.mark.parametrize(
    ("kind", "polled"),
    [("ext4", False), ("xfs", False), ("tmpfs", False), ("fuseblk", False), ("overlay", False)]
    + [(kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.rclone", "virtiofs")],
)
def test_network_file_systems_are_polled(kind: str, polled: bool) -> None:
    assert needs_polling(kind) is polled


def test_a_local_folder_is_observed_by_inotify_unless_told_otherwise(bench: Any) -> None:
    assert bench.start(observe=False).backends == {"line": "inotify"}
    assert bench.start(observe=False, backend="polling").backends == {"line": "polling"}
