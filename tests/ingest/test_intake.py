"""From files to rows: whatever happens, each whole file is queued once, and none is forgotten."""

import os
import shutil
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from inspectd.domain import Stat
from inspectd.ingest import gate
from inspectd.ledger.records import Arrival, Claim, Failed, Unsettled

SETTLE = 2.0


@pytest.fixture
def once(bench: Any) -> Any:
    """A bench whose intake finds files by scanning only."""
    bench.start(observe=False, rescan=10.0)
    return bench


def drop(bench: Any, *names: str, data: bytes = b"image") -> None:
    """Put files there and let them be found and settle."""
    for name in names:
        (bench.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (bench.folder / name).write_bytes(data)
    bench.run(10.0)
    bench.run(SETTLE)


def unsettle(bench: Any, reason: str | None) -> Claim:
    """Do what a worker does that cannot judge the one image that waits."""
    [claim] = bench.claim()
    bench.finish(Unsettled(claim, reason, "f" * 64 if reason else None))
    return claim


def test_files_with_the_same_stem_and_watches_with_the_same_names_do_not_mix(bench: Any) -> None:
    left, right = bench.folder / "left", bench.folder / "right"
    for folder in (left, right):
        folder.mkdir()
        for name in ("a.png", "a.jpg"):
            (folder / name).write_bytes(folder.name.encode())
    bench.start(*(bench.watch(name=folder.name, path=folder) for folder in (left, right)), observe=False)
    bench.run(SETTLE)
    claimed = [(claim.watch, claim.path) for claim in bench.claim("left", "right")]
    assert sorted(claimed) == [("left", "a.jpg"), ("left", "a.png"), ("right", "a.jpg"), ("right", "a.png")]


def test_the_name_tells_the_part(bench: Any) -> None:
    bench.start(observe=False, fields=r"(?P<part>\d+)_(?P<station>\w+)")
    drop(bench, "day/4711_weld.png", "unnamed.png")
    bench.run(60.0)
    bench.run(SETTLE)
    found = {claim.path: (claim.part, dict(claim.fields)) for claim in bench.claim()}
    assert found["day/4711_weld.png"] == ("4711", {"part": "4711", "station": "weld"})
    assert found["unnamed.png"] == (None, {})


def test_a_file_is_queued_once_however_often_it_is_seen_and_across_restarts(once: Any) -> None:
    drop(once, "a.png")
    for _ in range(2):
        once.run(10.0)
        once.run(SETTLE)
        once.start(observe=False)
        once.run(SETTLE)
    assert once.enqueued == [1]
    [claim] = once.claim()
    once.finish(Failed(claim, "not an image: no known format", "f" * 64))
    once.run(60.0)
    once.run(SETTLE)
    assert once.enqueued == [1]


def test_a_file_whose_stat_changed_is_queued_again(once: Any) -> None:
    drop(once, "a.png")
    [claim] = once.claim()
    once.finish(Failed(claim, "not an image: no known format", "f" * 64))
    os.utime(once.folder / "a.png")
    once.run(10.0)
    once.run(SETTLE)
    assert [claim.path for claim in once.claim()] == ["a.png"]


def test_what_a_worker_could_not_judge_gets_a_second_look_after_five_times_settle(once: Any) -> None:
    drop(once, "a.png")
    unsettle(once, "truncated: the file ends early")
    once.run(1.0)
    once.run(5 * SETTLE - 0.5)
    assert once.claim() == []
    once.run(0.5)
    [claim] = once.claim()
    assert (claim.sha256, claim.reason) == ("f" * 64, "truncated: the file ends early")


def test_what_changed_under_a_worker_settles_as_any_other_file(once: Any) -> None:
    drop(once, "a.png")
    unsettle(once, None)
    (once.folder / "a.png").write_bytes(b"another image")
    once.run(1.0)
    once.run(SETTLE)
    [claim] = once.claim()
    assert claim.stat == Stat.of((once.folder / "a.png").stat())


def test_a_second_look_survives_a_restart(once: Any) -> None:
    drop(once, "a.png")
    unsettle(once, "truncated: the file ends early")
    once.start(observe=False)
    assert not once.intake.quiet()
    once.run(5 * SETTLE)
    assert len(once.claim()) == 1


def test_a_file_that_vanishes_while_it_waits_for_its_second_look_ends_as_a_failure(once: Any) -> None:
    drop(once, "a.png")
    unsettle(once, "truncated: the file ends early")
    (once.folder / "a.png").unlink()
    once.run(1.0)
    state, reason = once.rows()["a.png"]
    assert state == "failed"
    assert reason.startswith("vanished: ")


def test_a_file_that_vanishes_before_it_settles_leaves_nothing(once: Any) -> None:
    (once.folder / "a.png").write_bytes(b"image")
    once.run(10.0)
    (once.folder / "a.png").unlink()
    once.run(SETTLE)
    assert once.rows() == {}
    assert once.intake.quiet()


def test_files_of_a_folder_that_is_away_have_not_vanished(once: Any) -> None:
    drop(once, "a.png")
    unsettle(once, "truncated: the file ends early")
    once.folder.rename(once.outside / "unmounted")
    for _ in range(20):
        once.run(1.0)
    assert once.rows()["a.png"][0] == "settling"
    (once.outside / "unmounted").rename(once.folder)
    once.run(1.0)
    once.run(5 * SETTLE)
    assert [claim.path for claim in once.claim()] == ["a.png"]


def test_nor_have_those_of_a_folder_that_just_went_away(once: Any) -> None:
    drop(once, "a.png")
    unsettle(once, "truncated: the file ends early")
    once.run(1.0)
    once.run(5 * SETTLE - 0.5)
    once.folder.rename(once.outside / "unmounted")
    once.run(0.5)  # the second look is due before the next look at the folder
    assert once.rows()["a.png"][0] == "settling"


def test_a_file_that_cannot_be_looked_at_has_not_vanished(once: Any) -> None:
    too_long = "x" * 300 + ".png"  # no file system lets anyone look
    once.queue.arrivals.enqueue("line", [Arrival(too_long, Stat(1, 1, 1))])
    unsettle(once, None)
    for _ in range(20):
        once.run(1.0)
    assert once.rows()[too_long][0] == "settling"


def test_a_file_that_never_becomes_whole_is_recorded_as_stalled_and_taken_when_it_does(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = bench.folder / "a.png"
    path.write_bytes(b"")
    bench.start(observe=False, stalled=20.0)
    for number in range(15):
        assert bench.rows() == {} or number >= 10
        path.write_bytes(b"image" * number)
        bench.run(SETTLE)
    assert bench.rows() == {"a.png": ("stalled", "stalled: the file was still being written after 20 seconds")}
    assert bench.intake.stalled == 1
    assert bench.intake.quiet()
    assert [record.message for record in caplog.records] == ["Watch line: 'a.png' is not whole yet; still watching it."]
    bench.run(SETTLE)
    assert bench.rows()["a.png"] == ("queued", None)
    assert bench.intake.stalled == 0


def test_a_stalled_file_that_vanishes_ends_as_a_failure(bench: Any) -> None:
    path = bench.folder / "a.png"
    path.write_bytes(b"")
    bench.start(observe=False, stalled=4.0)
    for number in range(4):
        path.write_bytes(b"image" * number)
        bench.run(SETTLE)
    path.unlink()
    bench.run(SETTLE)
    assert bench.rows()["a.png"][0] == "failed"
    assert bench.intake.stalled == 0


def test_a_burst_is_queued_in_small_transactions(bench: Any) -> None:
    for number in range(1200):
        (bench.folder / f"{number}.png").write_bytes(b"image")
    bench.start(observe=False)
    bench.run(SETTLE)
    assert sum(bench.enqueued) == 1200
    assert max(bench.enqueued) <= 500


def test_no_more_files_are_waited_for_than_memory_allows(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MOST_SETTLING", 10)
    monkeypatch.setattr("inspectd.ingest.scan.CHUNK", 5)
    for number in range(25):
        (bench.folder / f"{number}.png").write_bytes(b"image")
    bench.start(observe=False)
    for queued in (10, 20, 25):
        bench.run(SETTLE)
        assert len(bench.rows()) == queued
    assert bench.intake.quiet()


def test_a_failing_ledger_loses_nothing(once: Any) -> None:
    refuse = "create trigger refuse before insert on images begin select raise(abort, 'no'); end"
    with once.engine.begin() as connection:
        connection.exec_driver_sql(refuse)
    with pytest.raises(DBAPIError):
        drop(once, "a.png")
    with once.engine.begin() as connection:
        connection.exec_driver_sql("drop trigger refuse")
    assert not once.intake.quiet()
    once.run()
    once.run(SETTLE)
    assert once.is_known("a.png")


def test_one_missing_folder_holds_up_no_other(bench: Any) -> None:
    there = bench.folder / "there"
    there.mkdir()
    (there / "a.png").write_bytes(b"image")
    watches = (bench.watch(name="gone", path=bench.folder / "gone"), bench.watch(name="there", path=there))
    bench.start(*watches, observe=False)
    bench.run(SETTLE)
    assert [claim.path for claim in bench.claim("gone", "there")] == ["a.png"]
    assert bench.intake.missing == ["gone"]
    assert bench.intake.quiet()


def test_a_run_that_ends_by_itself_is_quiet_only_when_all_is_seen(bench: Any) -> None:
    (bench.folder / "a.png").write_bytes(b"image")
    bench.start(observe=False)
    assert not bench.intake.quiet()
    bench.run(SETTLE)
    assert bench.intake.quiet()
    assert bench.is_known("a.png")


def test_tick_says_when_it_is_next_needed(once: Any) -> None:
    assert once.intake.tick(once.now) == once.now + 1.0  # the folder, and what workers put back
    (once.folder / "a.png").write_bytes(b"image")
    once.run(10.5)  # the file is found, and settles a second after the next look at the folder
    assert once.intake.tick(once.now) == once.now + 1.0
    once.run(1.5)
    assert once.intake.tick(once.now) == once.now + 0.5


def test_a_folder_that_turns_into_a_file_is_missing(once: Any) -> None:
    shutil.rmtree(once.folder)
    once.folder.write_bytes(b"")
    once.run(1.0)
    assert once.intake.missing == ["line"]
