"""When a file is whole: every rule, with a clock of our own and stats made by hand."""

import tracemalloc

from inspectd.domain import Stat
from inspectd.ingest.settle import SECOND_LOOK, Settler, Step

SETTLE, STALLED = 2.0, 600.0


def stat(version: int, size: int = 100) -> Stat:
    return Stat(size, version, version)


def settler() -> Settler:
    return Settler(SETTLE, STALLED)


def due(waiting: Settler, now: float) -> list[str]:
    return [path for path, _ in waiting.due(now)]


def test_a_closed_file_is_ready_at_its_first_look() -> None:
    waiting = settler()
    waiting.hint("a", 10.0, closed=True)
    assert list(waiting.due(10.0)) == [("a", True)]
    assert waiting.look("a", stat(1), 10.0, hollow=False) is Step.CLOSED
    assert waiting.settling == 0


def test_a_created_file_is_ready_once_it_has_not_changed_for_settle() -> None:
    waiting = settler()
    waiting.hint("a", 10.0, closed=False)
    assert list(waiting.due(10.0)) == [("a", False)]
    assert waiting.look("a", stat(1), 10.0, hollow=False) is Step.WAIT
    assert waiting.next_due() == 12.0
    assert due(waiting, 11.9) == []
    assert due(waiting, 12.0) == ["a"]
    assert waiting.look("a", stat(1), 12.0, hollow=False) is Step.READY


def test_a_change_starts_the_wait_anew() -> None:
    waiting = settler()
    waiting.found("a", stat(1), 10.0)
    assert due(waiting, 12.0) == ["a"]
    assert waiting.look("a", stat(2), 12.0, hollow=False) is Step.WAIT
    assert due(waiting, 13.9) == []
    assert due(waiting, 14.0) == ["a"]
    assert waiting.look("a", stat(2), 14.0, hollow=False) is Step.READY


def test_the_clock_of_a_file_starts_at_its_first_stat_not_at_its_event() -> None:
    waiting = settler()
    waiting.hint("a", 10.0, closed=False)
    assert due(waiting, 50.0) == ["a"]
    assert waiting.look("a", stat(1), 50.0, hollow=False) is Step.WAIT
    assert waiting.next_due() == 52.0


def test_a_close_ends_the_wait_and_a_second_creation_does_not() -> None:
    waiting = settler()
    waiting.hint("a", 10.0, closed=False)
    assert due(waiting, 10.0) == ["a"]
    waiting.look("a", stat(1), 10.0, hollow=False)
    waiting.hint("a", 10.5, closed=False)
    assert due(waiting, 11.0) == []
    waiting.hint("a", 11.0, closed=True)
    assert list(waiting.due(11.0)) == [("a", True)]
    assert waiting.look("a", stat(2), 11.0, hollow=False) is Step.CLOSED


def test_a_scan_does_not_put_off_a_file_that_is_waited_for() -> None:
    waiting = settler()
    waiting.found("a", stat(1), 10.0)
    waiting.found("a", stat(1), 11.0)
    assert due(waiting, 12.0) == ["a"]


def test_a_hollow_file_is_not_taken_on_its_event() -> None:
    waiting = settler()
    waiting.hint("a", 10.0, closed=True)
    assert due(waiting, 10.0) == ["a"]
    assert waiting.look("a", stat(1), 10.0, hollow=True) is Step.WAIT
    assert list(waiting.due(12.0)) == [("a", False)]
    assert waiting.look("a", stat(2), 12.0, hollow=False) is Step.WAIT  # its content came: the wait begins anew
    assert due(waiting, 14.0) == ["a"]
    assert waiting.look("a", stat(2), 14.0, hollow=False) is Step.READY


def test_a_hollow_file_that_was_closed_and_did_not_change_is_known_to_be_closed() -> None:
    waiting = settler()
    waiting.hint("a", 10.0, closed=True)
    assert due(waiting, 10.0) == ["a"]
    assert waiting.look("a", stat(1), 10.0, hollow=True) is Step.WAIT
    assert due(waiting, 12.0) == ["a"]
    assert waiting.look("a", stat(1), 12.0, hollow=False) is Step.CLOSED


def test_a_second_look_takes_five_times_as_long() -> None:
    waiting = settler()
    waiting.unsettle("a", 10.0, second_look=True)
    assert due(waiting, 10.0) == ["a"]
    assert waiting.look("a", stat(1), 10.0, hollow=False) is Step.WAIT
    waiting.unsettle("a", 15.0, second_look=True)  # the ledger goes on saying so; that puts nothing off
    assert waiting.next_due() == 10.0 + SECOND_LOOK * SETTLE
    assert due(waiting, 20.0) == ["a"]
    assert waiting.look("a", stat(1), 20.0, hollow=False) is Step.READY


def test_a_second_look_is_also_owed_by_a_file_that_is_waited_for_already() -> None:
    waiting = settler()
    waiting.found("a", stat(1), 10.0)
    waiting.unsettle("a", 11.0, second_look=True)
    assert due(waiting, 11.0) == ["a"]
    assert waiting.look("a", stat(1), 11.0, hollow=False) is Step.WAIT
    assert waiting.next_due() == 20.0


def test_a_file_that_changed_under_the_worker_waits_as_any_other() -> None:
    waiting = settler()
    waiting.unsettle("a", 10.0, second_look=False)
    assert due(waiting, 10.0) == ["a"]
    assert waiting.look("a", stat(1), 10.0, hollow=False) is Step.WAIT
    assert waiting.next_due() == 12.0


def test_a_file_that_keeps_changing_is_stalled_once_and_still_taken_when_whole() -> None:
    waiting, now, steps = settler(), 0.0, []
    waiting.found("a", stat(0), now)
    while now < STALLED + 10:
        now = waiting.next_due()
        assert due(waiting, now) == ["a"]
        steps.append((now, waiting.look("a", stat(int(now)), now, hollow=False)))
    assert [at for at, step in steps if step is Step.STALLED] == [STALLED]
    assert (waiting.settling, waiting.stalled) == (0, 1)
    assert due(waiting, now + SETTLE) == ["a"]
    assert waiting.look("a", stat(int(now)), now + SETTLE, hollow=False) is Step.READY
    assert (waiting.settling, waiting.stalled) == (0, 0)


def test_a_file_that_waits_its_turn_is_not_stalled_however_long_the_wait() -> None:
    waiting = Settler(settle=3600.0, stalled=STALLED)
    waiting.hint("a", 0.0, closed=True)
    assert due(waiting, 0.0) == ["a"]
    assert waiting.look("a", stat(1), 0.0, hollow=True) is Step.WAIT
    waiting.hint("a", 1000.0, closed=True)
    assert due(waiting, 1000.0) == ["a"]
    assert waiting.look("a", stat(1), 1000.0, hollow=True) is Step.WAIT


def test_only_files_with_an_open_row_are_missed() -> None:
    waiting = settler()
    waiting.found("new", stat(1), 0.0)
    waiting.unsettle("back", 0.0, second_look=True)
    assert not waiting.forget("new")
    assert waiting.forget("back")
    assert due(waiting, 100.0) == []


def test_odd_times_do_not_make_it_look_for_ever() -> None:
    waiting = Settler(settle=0.1, stalled=STALLED)
    for number in range(1000):
        now = number * 0.7 + 0.1
        waiting.found("a", stat(number), now)
        now = waiting.next_due()
        assert due(waiting, now) == ["a"]
        assert waiting.look("a", stat(number), now, hollow=False) is Step.READY


def test_a_burst_of_20_000_files_is_small() -> None:
    paths = [f"2026-11-23/station-4/part-{number:08d}_weld.png" for number in range(20_000)]
    waiting = settler()
    tracemalloc.start()
    for number, path in enumerate(paths):
        waiting.found(path, stat(10**18 + number), 0.0)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert waiting.settling == 20_000
    assert used < 16e6
