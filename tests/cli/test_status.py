"""`inspectd status`: on a filled ledger, and beside a real daemon that lives through a few things."""

import json
import os
import signal
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.ledger import Ledger, fill
from support.site import DARK, laid_out, picture, until

from inspectd.cli.output import local_time
from inspectd.cli.status import age
from inspectd.clock import utc_text
from inspectd.config import load
from inspectd.domain import Stat
from inspectd.ledger import trail
from inspectd.ledger.database import open_writer
from inspectd.ledger.read.status import Times, times
from inspectd.ledger.records import Arrival
from inspectd.ledger.write.queue import Queue


def ask(ledger: Ledger) -> dict[str, Any]:
    code, out, err = ledger.run("status", "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.fixture
def waiting(tmp_path: Path) -> Ledger:
    """The filled ledger, with two images queued, the older one seen 2 hours ago, and one of a watch that is gone."""
    ledger = fill(tmp_path)
    engine = open_writer(f"sqlite:///{tmp_path}/inspectd.db")
    queue = Queue(engine)
    queue.arrivals.enqueue("line-2", [Arrival("new.png", Stat(1, 1, 1)), Arrival("old.png", Stat(2, 2, 2))])
    queue.arrivals.enqueue("line-9", [Arrival("lost.png", Stat(3, 3, 3))])
    for kind, detail in (("start", "first"), ("ready", "demo"), ("worker-died", "exit 1"), ("start", "second")):
        queue.event(kind, detail)
    engine.dispose()
    with sqlite3.connect(tmp_path / "inspectd.db") as connection:
        seen = utc_text(datetime.now(UTC) - timedelta(hours=2, minutes=1))
        connection.execute("UPDATE images SET seen_at = ? WHERE path = 'old.png'", [seen])
    return ledger


def test_json_tells_counts_ages_models_and_events(waiting: Ledger) -> None:
    found = ask(waiting)
    nothing = dict.fromkeys(("settling", "stalled", "queued", "claimed", "done", "failed"), 0)
    assert {watch["watch"]: watch["counts"] for watch in found["watches"]} == {
        "line-1": nothing | {"done": 3, "failed": 1, "settling": 1},
        "line-2": nothing | {"done": 2, "queued": 2},
        "line-9": nothing | {"queued": 1},
    }
    first, second, lost = found["watches"]
    assert [watch["configured"] for watch in (first, second, lost)] == [True, True, False]
    assert [watch["model"] for watch in (first, second, lost)] == ["demo@aaaaaaaa", "demo@aaaaaaaa", None]
    assert [watch["version"] for watch in (first, second, lost)] == [3, 3, None]
    assert (first["oldest_queued_at"], first["oldest_queued_s"], lost["last_verdict_at"]) == (None, None, None)
    assert 7260 <= second["oldest_queued_s"] < 7320
    with sqlite3.connect(waiting.root / "inspectd.db") as connection:
        last = connection.execute("SELECT max(inspected_at) FROM verdicts WHERE verdict <> 'failed'").fetchone()
    assert (found["last_verdict_at"],) == last
    assert [(each["after_pending"], each["after_waiting"]) for each in found["watches"]] == [(0, 0), (1, 0), (0, 0)]
    events = [(event["kind"], event["detail"]) for event in found["events"]]
    assert events == [("ready", "demo"), ("worker-died", "exit 1"), ("start", "second")]


def test_files_that_wait_to_be_moved_are_counted(waiting: Ledger) -> None:
    assert "After:        1 files to be moved or deleted\n" in waiting.run("status")[1]
    with sqlite3.connect(waiting.root / "inspectd.db") as connection:
        later = utc_text(datetime.now(UTC) + timedelta(hours=1))
        connection.execute("UPDATE images SET after_at = ? WHERE after = 'pending'", [later])
    assert ask(waiting)["watches"][1]["after_waiting"] == 1
    assert "deleted, 1 of them when they have stayed unchanged for long enough\n" in waiting.run("status")[1]


def test_the_last_day_in_figures(waiting: Ledger) -> None:
    engine = open_writer(f"sqlite:///{waiting.root}/inspectd.db")
    queue = Queue(engine)
    for kind, detail in (
        ("hang", "worker 7"),
        ("worker-died", "exit 2"),
        (trail.LEASE_EXPIRED, trail.expired(16)),
        (trail.LEASE_EXPIRED, trail.expired(2)),
    ):
        queue.event(kind, detail)
    engine.dispose()
    found = ask(waiting)
    recent = found["recent"]
    assert recent["outcomes"] == {"ok": 2, "defect": 2, "review": 0, "failed": 1}  # the review is of last winter
    assert recent["failures"] == {"truncated": 1}
    assert recent["restarts"] == {"died": 2, "hang": 1}
    assert recent["expired_leases"] == 18
    assert recent["sample"] == 5
    assert recent["stages"] == {"decode": {"p50": 0.0015, "p95": 0.0015}, "infer": {"p50": 0.031, "p95": 0.031}}
    assert recent["latency"]["p50"] <= recent["latency"]["p95"]
    assert [disk["place"] for disk in found["disks"]] == ["ledger"]  # there is no output folder yet
    assert all(disk["bytes"] > 0 for disk in found["disks"])
    out = waiting.run("status")[1]
    assert "Last 24 h:    2 ok, 2 defect, 0 review, 1 failed (1 truncated)\n" in out
    assert "workers restarted: 2 died, 1 hang; leases expired: 18\n" in out
    assert "Stages:       (p50, p95) decode 1.5 ms, 1.5 ms; infer 31.0 ms, 31.0 ms\n" in out
    assert "GB" in out


def test_quantiles_are_values_that_occur() -> None:
    assert times([]) is None
    assert times([3.0]) == Times(3.0, 3.0)
    assert times([float(value) for value in range(100, 0, -1)]) == Times(50.0, 95.0)


def test_the_table_has_local_times(waiting: Ledger) -> None:
    code, out, err = waiting.run("status")
    assert (code, err) == (0, "")
    found = ask(waiting)
    head, first, second, lost, *rest = (line.split() for line in out.splitlines())
    states = ["queued", "claimed", "settling", "stalled", "done", "failed"]
    assert head == ["watch", *states, "oldest", "queued", "last", "verdict", "model"]
    assert first[:7] == ["line-1", "0", "0", "1", "0", "3", "1"]
    assert second == [
        *("line-2", "2", "0", "0", "0", "2", "0", "2", "h"),
        *local_time(found["watches"][1]["last_verdict_at"]).split(),
        *("demo@aaaaaaaa", "(version", "3)"),
    ]
    assert " ".join(lost[:4]) == "line-9 (not configured) 1"
    assert rest[1] == ["Last", "verdict:", *local_time(found["last_verdict_at"]).split()]
    assert rest[-1] == ["start", *local_time(found["events"][-1]["at"]).split(), "second"]


def test_a_missing_watch_folder_is_told(waiting: Ledger) -> None:
    [first, *_] = load(waiting.root / "config.yaml").watch
    assert [watch["missing"] for watch in ask(waiting)["watches"]] == [False, False, False]
    assert "Missing:" not in waiting.run("status")[1]
    first.path.rename(waiting.root / "elsewhere")
    assert [watch["missing"] for watch in ask(waiting)["watches"]] == [True, False, False]
    assert f"Missing:      the folder of line-1, {first.path};" in waiting.run("status")[1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119.9, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (2e5, "2 d")],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_a_clock_that_was_set_back_gives_no_negative_age(waiting: Ledger) -> None:
    with sqlite3.connect(waiting.root / "inspectd.db") as connection:
        connection.execute("UPDATE images SET seen_at = '2999-01-01T00:00:00.000Z' WHERE state = 'queued'")
    assert ask(waiting)["watches"][1]["oldest_queued_s"] == 0


def test_a_daemon_that_runs_and_one_that_has_stopped(tmp_path: Path) -> None:
    with laid_out(tmp_path) as site:
        ledger = Ledger(site.root, {})
        daemon = site.start()
        daemon.heard("READY=1")
        assert ask(ledger)["last_verdict_at"] is None
        assert "Last verdict: none yet" in ledger.run("status")[1]
        site.drop("a.png", picture(DARK))
        site.outcomes(1)
        site.refuse(daemon)
        os.kill(daemon.worker(), signal.SIGKILL)
        until(lambda: site.rows("select 1 from events where kind = 'worker-died'"), "the worker's death")
        running = ask(ledger)
        assert daemon.stop() == 0
    stopped = ask(ledger)
    kinds = {event["kind"] for event in running["events"]}
    assert kinds >= {"start", "ready", "reload-refused", "worker-died"}
    assert "limts" in next(event["detail"] for event in running["events"] if event["kind"] == "reload-refused")
    assert stopped["events"][-1]["kind"] == "stop"
    for found in (running, stopped):
        [watch] = found["watches"]
        assert watch["counts"]["done"] == 1
        assert watch["model"].startswith("null@")
        assert watch["last_verdict_at"] == found["last_verdict_at"]
