"""Source files are put away beside the batches: refusals and hangs hold up nobody, and nothing is forgotten."""

import logging
from threading import Event
from typing import Any

import pytest
from support.line import StubLine, work_off
from support.site import DARK, Site, picture, until

from inspectd import config
from inspectd.domain import Stat
from inspectd.ledger.records import Arrival, Counts, Failed
from inspectd.ledger.write.queue import Queue
from inspectd.worker import putting_away
from inspectd.worker.putting_away import PuttingAway


@pytest.fixture
def site(site: Site) -> Site:
    site.write({"after": "move", "move_to": "archive/{verdict}"})
    return site


def enqueue(site: Site, queue: Queue, numbers: range) -> None:
    paths = [site.drop(f"{number}.png", picture(DARK, seed=number)) for number in numbers]
    queue.arrivals.enqueue("line", [Arrival(path.name, Stat.of(path.stat())) for path in paths])


def finish(site: Site, queue: Queue, numbers: range) -> list[int]:
    """Images that have failed, whose files are to be moved; their ids."""
    enqueue(site, queue, numbers)
    claims = queue.claims.take("me", ["line"], len(numbers), 60.0) or []
    queue.outcomes.finish("me", 0, [Failed(claim, "not an image: as a test wants it") for claim in claims], ["line"])
    return [claim.image_id for claim in claims]


def moved(site: Site) -> set[str]:
    return {path for (path,) in site.rows("select path from images where \"after\" = 'moved'")}


def test_files_that_refuse_do_not_stand_in_the_way_of_others(
    site: Site, queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(putting_away, "AT_ONCE", 4)
    archive = site.root / "archive/failed"
    archive.mkdir(parents=True)
    for number in range(5):  # the two names that a file may have there are taken
        for name in (f"{number}.png", f"{number}-{number + 1}.png"):
            (archive / name).write_text("another file")
    ids = finish(site, queue, range(10))
    subject = PuttingAway(config.load(site.config).watch, queue, lambda: None, longest=600.0)
    with caplog.at_level(logging.WARNING):
        subject.start()
        until(lambda: not subject.is_busy, "the first round")
    assert moved(site) == {f"{number}.png" for number in range(5, 10)}
    assert [each.image_id for each in queue.after.pending(["line"], 100)] == ids[:5]
    assert len(caplog.records) == 2, "one line for a part of a round, not one a file"
    assert "4 files cannot be put away yet; the first is 0.png in line" in caplog.text
    subject.wake(finish(site, queue, range(10, 12)))
    until(lambda: len(moved(site)) == 7, "new files at once")
    for path in archive.glob("?.png"):
        path.unlink()
    assert subject.end(), "the last look is at all that is left"
    assert len(moved(site)) == 12


def test_a_disk_that_hangs_holds_up_no_claim_and_no_verdict_and_is_told_of(
    site: Site, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file that an earlier worker has left, before the first claim."""
    carry_out = putting_away.carry_out
    answers = Event()

    def hang(watch: Any, owed: Any) -> Any:
        answers.wait()
        return carry_out(watch, owed)

    monkeypatch.setattr(putting_away, "carry_out", hang)
    monkeypatch.setattr(putting_away, "HANG_LEAST", 0.0)
    finish(site, queue, range(1))
    enqueue(site, queue, range(1, 13))
    told = []

    class Listening(StubLine):
        def say(self, message: Any) -> None:
            if queue.open_count(["line"]) == Counts() and getattr(message, "held_up", None):
                told.append((message.held_up, message.is_putting_away))
                answers.set()
                self.end()

    work_off(config.load(site.config), queue, line=Listening())
    assert told[0] == ("files are not put away: no answer from a disk over 0.png of line (after: move)", False)
    assert site.rows("select verdict, count(*) from verdicts group by 1") == [("failed", 1), ("ok", 12)]
    assert len(moved(site)) == 13, "as soon as the disk answers"


def test_a_thread_that_ends_in_an_error_is_heard_of(site: Site, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(putting_away, "carry_out", lambda *_: 1 / 0)
    finish(site, queue, range(1))
    with pytest.raises(ZeroDivisionError):
        work_off(config.load(site.config), queue)
