"""Retention removes the oldest and only what may go, whatever instruction it dies at."""

import os
import shutil
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml
from sqlalchemy import event
from support.queueing import inspected, register, sha256
from support.site import DARK, Site, picture, until

from inspectd.clock import utc_text
from inspectd.config import Config, load
from inspectd.domain import Stat, Verdict
from inspectd.ledger.backup import check
from inspectd.ledger.database import open_writer, upgrade
from inspectd.ledger.records import Arrival, Cursor, Failed, RetentionCandidate
from inspectd.ledger.write.queue import Queue
from inspectd.ledger.write.retention import pin
from inspectd.paths import from_text
from inspectd.service.retention import removal, thread
from inspectd.service.retention.candidates import Removable, choose, preview
from inspectd.service.retention.thread import AgeClock, RetentionThread
from inspectd.worker.after import carry_out

OLD = 400  # days


def happened(root: Path, at: str) -> None:
    """Let the audit trail know that something happened then."""
    with sqlite3.connect(root / "inspectd.db") as connection:
        connection.execute("INSERT INTO events (at, kind, detail) VALUES (?, 'start', '')", [at])


class Place:
    """A working folder with a ledger, overlays with sidecars, and images that were moved to the archive."""

    def __init__(self, root: Path, after: str = "move", **rules: Any) -> None:
        self.root = root
        for folder in ("incoming", "models"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        self.url = f"sqlite:///{root}/inspectd.db"
        upgrade(self.url)
        self.engine = open_writer(self.url)
        self.keyless = open_writer(self.url, foreign_keys=False)
        self.queue = Queue(self.engine)
        self.model = register(self.queue)
        self.after = after
        self.config = self.configure(**rules)
        happened(root, utc_text(datetime.now(UTC) - timedelta(days=2)))

    def configure(self, **rules: Any) -> Config:
        watch = {"name": "line", "path": "incoming", "model": "models", "after": self.after}
        document = {"database": "sqlite:///inspectd.db", "output": "output", "watch": [watch], "retention": rules}
        (self.root / "config.yaml").write_text(yaml.safe_dump(document))
        self.config = load(self.root / "config.yaml")
        return self.config

    def judge(
        self,
        name: str,
        days: float,
        verdict: Verdict | None = Verdict.OK,
        size: int = 100,
        content: str = "",
        mtime: float | None = None,
    ) -> int:
        """One image that had its outcome so many days ago (None: a failure), put away as its watch says; its id."""
        file = self.root / "incoming" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes((content or name).encode().ljust(size, b"x"))
        if mtime is not None:
            os.utime(file, (mtime, mtime))
        self.queue.arrivals.enqueue("line", [Arrival(name, Stat.of(file.stat()))])
        (claim,) = self.queue.claims.take("w", ["line"], 1, 60)
        made = (
            inspected(claim, verdict, sha=content and sha256(int(content)))
            if verdict
            else Failed(claim, "truncated: the file ends early")
        )
        watches = ["line"] if self.after != "keep" else []
        self.queue.outcomes.finish("w", self.model, [made], watches)
        at = utc_text(datetime.now(UTC) - timedelta(days=days))
        with sqlite3.connect(self.root / "inspectd.db") as connection:
            connection.execute("UPDATE images SET seen_at = ?, finished_at = ? WHERE id = ?", [at, at, claim.image_id])
            overlay = f"line/{at[:10]}/{file.stem}-{claim.image_id}-abababab.jpg"
            values = [at, overlay, claim.image_id]
            connection.execute("UPDATE inspections SET inspected_at = ?, overlay = ? WHERE image_id = ?", values)
        if verdict:
            (self.root / "output" / overlay).parent.mkdir(parents=True, exist_ok=True)
            for suffix in (".jpg", ".json"):
                (self.root / "output" / overlay).with_suffix(suffix).write_bytes(bytes(size))
        done = [(each, *carry_out(self.config.watch[0], each)) for each in self.queue.after.pending(["line"], 10)]
        self.queue.after.record(done)
        if self.after == "move":
            self.date(claim.image_id, at)
        return claim.image_id

    def date(self, image: int, at: str) -> None:
        """Let the file have been dropped then."""
        with sqlite3.connect(self.root / "inspectd.db") as connection:
            nanoseconds = int(datetime.fromisoformat(at).timestamp() * 1e9)
            connection.execute("UPDATE images SET ctime_ns = ? WHERE id = ?", [nanoseconds, image])

    def run(self) -> RetentionThread:
        """One pass of a fresh start; what it says is in `problem`."""
        started = self.start()
        started.run_once()
        started.stop()
        return started

    def start(self) -> RetentionThread:
        return RetentionThread(self.config, thread.RetentionLedger(self.keyless))

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(f"file:{self.root}/inspectd.db?mode=ro", uri=True) as connection:
            return connection.execute(sql).fetchall()

    def files(self, folder: str) -> set[str]:
        """The names of the files below a folder."""
        return {path.name for path in (self.root / folder).rglob("*") if path.is_file()}

    def overlays(self) -> set[str]:
        """The stems of the images whose overlay the ledger names; it must be there with its sidecar, and none else."""
        named = {self.root / "output" / overlay for (overlay,) in self.ask(_OVERLAYS)}
        there = {path for path in (self.root / "output").rglob("*") if path.is_file()}
        assert there == named | {path.with_suffix(".json") for path in named}
        return {path.name.rpartition("-")[0].rpartition("-")[0] for path in named}

    def sources(self) -> set[str]:
        """The names of the images that the ledger says are in the archive; they must be there, and none else."""
        named = {Path(from_text(path)) for (path,) in self.ask("SELECT moved_to FROM images WHERE \"after\" = 'moved'")}
        assert {path for path in (self.root / "archive").rglob("*") if path.is_file()} == named
        return {path.name for path in named}

    def close(self) -> None:
        self.engine.dispose()
        self.keyless.dispose()


_OVERLAYS = "SELECT overlay FROM inspections WHERE overlay IS NOT NULL"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def test_nothing_is_removed_unless_the_configuration_says_so(place: Place) -> None:
    place.judge("a.png", OLD)
    place.run()
    assert (place.overlays(), place.sources()) == ({"a"}, {"a.png"})


def test_old_overlays_go_with_their_sidecars_and_their_folders(place: Place) -> None:
    place.judge("old.png", OLD)
    place.judge("new.png", 1)
    place.configure(overlays={"days": 90})
    place.run()
    assert place.overlays() == {"new"}
    assert place.sources() == {"old.png", "new.png"}
    assert len(list((place.root / "output/line").iterdir())) == 1
    (event,) = place.ask("SELECT detail FROM events WHERE kind = 'retention'")
    assert event[0].startswith("removed 1 overlays (1 by age, 0 for free space; ")
    assert place.ask("SELECT * FROM removals") == []
    assert place.ask("SELECT count(*) FROM verdicts") == [(2,)]


def test_old_sources_go_from_the_archive(place: Place) -> None:
    place.judge("old.png", OLD)
    place.judge("new.png", 1)
    place.configure(sources={"days": 90})
    place.run()
    assert place.sources() == {"new.png"}
    assert place.overlays() == {"old", "new"}
    assert place.ask("SELECT path FROM images WHERE \"after\" = 'expired'") == [("old.png",)]


def protect(place: Place) -> None:
    """One old image for each reason that there is to keep it, and one for none."""
    pin(place.engine, place.judge("pinned.png", OLD), pinned=True, detail="")
    reviewed = place.judge("reviewed.png", OLD, Verdict.DEFECT)
    with sqlite3.connect(place.root / "inspectd.db") as connection:
        connection.execute(
            "INSERT INTO reviews (image_id, reviewed_at, reviewer, reviewed_as) VALUES (?, 'then', 'Ada', 'ok')",
            [reviewed],
        )
    place.judge("doubtful.png", OLD, Verdict.REVIEW)
    place.judge("failed.png", OLD, None)
    place.judge("plain.png", OLD)
    place.judge("new.png", 0)


def test_what_is_pinned_reviewed_under_review_or_failed_stays(place: Place) -> None:
    protect(place)
    place.configure(overlays={"days": 1}, sources={"days": 1}, rows={"days": 1})
    place.run()
    assert place.sources() == {"pinned.png", "reviewed.png", "doubtful.png", "failed.png", "new.png"}
    assert place.overlays() == {"pinned", "reviewed", "doubtful", "new"}
    assert place.ask("SELECT count(*) FROM images") == [(5,)]


def test_only_the_very_file_in_the_archive_goes(place: Place) -> None:
    for name in ("changed.png", "linked.png", "moved_on.png"):
        place.judge(name, OLD)
    paths = dict(place.ask("SELECT path, moved_to FROM images"))
    Path(paths["changed.png"]).write_bytes(b"something else that somebody put there")
    linked, outside = Path(paths["linked.png"]), place.root / "outside.png"
    linked.rename(outside)
    linked.symlink_to(outside)
    Path(paths["moved_on.png"]).rename(place.root / "taken.png")
    place.configure(sources={"days": 1})
    place.run()
    assert outside.exists()
    assert linked.is_symlink()
    assert Path(paths["changed.png"]).exists()
    assert {after for (after,) in place.ask('SELECT "after" FROM images')} == {"moved"}


def test_a_file_that_two_images_share_stays(place: Place) -> None:
    """The same content came under the same name from two folders, and `after: move` kept one file for both."""
    at = datetime.now(UTC).timestamp()
    for name in ("left/a.png", "right/a.png"):
        place.judge(name, OLD, content="7", mtime=at)
    (moved_to, number) = place.ask("SELECT moved_to, count(*) FROM images GROUP BY moved_to")[0]
    assert number == 2
    pin(place.engine, 1, pinned=True, detail="")
    place.configure(sources={"days": 1})
    place.run()
    assert Path(moved_to).exists()


def test_an_old_image_that_is_dropped_again_has_its_days_once_more(place: Place) -> None:
    place.judge("again.png", OLD)
    place.date(1, utc_text(datetime.now(UTC)))
    place.judge("old.png", OLD)
    place.judge("new.png", 0)
    place.configure(sources={"days": 1})
    assert preview(place.config, place.engine, datetime.now(UTC)).rules[0].by_age == 1
    place.run()
    assert place.sources() == {"again.png", "new.png"}


def test_a_clock_that_stands_years_ahead_at_the_start_makes_nothing_old(place: Place, caplog: Any) -> None:
    place.judge("a.png", OLD)
    with sqlite3.connect(place.root / "inspectd.db") as connection:
        connection.execute("DELETE FROM events")  # as if the last 400 days had not been
    place.configure(sources={"days": 90}, overlays={"days": 90})
    happened(place.root, utc_text(datetime.now(UTC)))  # this start
    place.run()
    assert (place.overlays(), place.sources()) == ({"a"}, {"a.png"})
    assert "nothing is removed by age for a day" in caplog.text
    happened(place.root, utc_text(datetime.now(UTC) - timedelta(days=1, seconds=1)))  # and it has been so for a day
    place.run()
    assert (place.overlays(), place.sources()) == (set(), set())


def test_what_lies_in_a_watch_stays_though_it_was_moved_there_once(place: Place) -> None:
    place.judge("a.png", OLD)
    (moved_to,) = place.ask("SELECT moved_to FROM images")[0]
    document = yaml.safe_load((place.root / "config.yaml").read_text())
    document["watch"][0]["move_to"] = "archive/{date}"
    document["watch"].append({"name": "second", "path": str(Path(moved_to).parent), "model": "models"})
    document["retention"] = {"sources": {"days": 1}}
    (place.root / "config.yaml").write_text(yaml.safe_dump(document))
    place.config = load(place.root / "config.yaml")
    place.run()
    assert Path(moved_to).exists()


def test_no_link_leads_out_of_the_archive(place: Place) -> None:
    place.judge("a.png", OLD)
    folder = Path(place.ask("SELECT moved_to FROM images")[0][0]).parent
    outside = place.root / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)
    place.configure(sources={"days": 1})
    place.run()
    assert (outside / "a.png").exists()


def test_rows_go_last_and_never_while_their_file_is_in_the_watch(tmp_path: Path) -> None:
    place = Place(tmp_path, after="keep")
    for name in ("gone.png", "there.png"):
        place.judge(name, OLD)
    (tmp_path / "incoming/gone.png").unlink()
    place.queue.redraws.add([1, 2])
    place.configure(rows={"days": 90})
    place.run()
    assert place.ask("SELECT path FROM images") == [("there.png",)]
    assert place.overlays() == {"there"}
    assert [finding.name for finding in check(place.url, ["line"]) if finding.fault] == []
    place.close()


def test_a_sidecar_without_an_overlay_goes_with_its_row(tmp_path: Path) -> None:
    place = Place(tmp_path, after="delete")
    place.judge("a.png", OLD)
    (overlay,) = (tmp_path / "output").rglob("*.jpg")
    overlay.unlink()
    with sqlite3.connect(tmp_path / "inspectd.db") as connection:
        connection.execute("UPDATE inspections SET overlay = NULL")
    assert len(list((tmp_path / "output").rglob("*.json"))) == 1
    place.judge("new.png", 1)
    place.configure(rows={"days": 90})
    place.run()
    assert place.ask("SELECT path FROM images") == [("new.png",)]
    assert place.files("output") == {"new-2-abababab.jpg", "new-2-abababab.json"}
    place.close()


def test_a_watch_whose_disk_is_away_keeps_its_rows(tmp_path: Path) -> None:
    place = Place(tmp_path, after="keep")
    place.judge("a.png", OLD)
    (tmp_path / "incoming").rename(tmp_path / "away")
    place.configure(rows={"days": 90})
    place.run()
    (tmp_path / "incoming").mkdir()  # where the disk was mounted
    place.run()
    assert place.ask("SELECT path FROM images") == [("a.png",)]
    place.close()


def test_contents_that_were_overwritten_go_and_the_last_one_stays(tmp_path: Path) -> None:
    place = Place(tmp_path, after="keep")
    for size in (100, 200, 300):
        place.judge("latest.png", OLD, size=size)
    place.configure(rows={"days": 90})
    place.run()
    assert place.ask("SELECT size FROM images") == [(300,)]
    place.close()


def test_rows_of_moved_images_wait_for_their_file(place: Place) -> None:
    place.judge("a.png", OLD)
    place.judge("new.png", 1)
    place.configure(rows={"days": 90})
    place.run()
    assert place.sources() == {"a.png", "new.png"}
    place.configure(rows={"days": 90}, sources={"days": 90})
    place.run()
    assert (place.ask("SELECT id FROM images"), place.ask("SELECT id FROM inspections")) == ([(2,)], [(2,)])
    assert place.overlays() == {"new"}


def test_the_newest_row_goes_like_any_other_and_no_id_is_given_twice(tmp_path: Path) -> None:
    place = Place(tmp_path, after="delete")
    for name in ("a.png", "b.png"):
        place.judge(name, OLD)
    place.configure(rows={"days": 90})
    place.run()
    assert place.ask("SELECT id FROM images") == []
    assert place.judge("c.png", 0) == 3
    assert place.ask("SELECT id FROM inspections") == [(3,)]
    place.close()


def long_ago(site: Site, path: str) -> None:
    with sqlite3.connect(site.root / "inspectd.db") as connection:
        connection.execute("UPDATE images SET finished_at = '2020-01-01T00:00:00.000Z' WHERE path = ?", [path])


def test_after_rows_are_gone_nothing_that_lies_in_a_watch_is_judged_again(site: Site) -> None:
    for number in range(3):
        site.drop(f"{number}.png", picture(DARK, seed=number))
    assert site.start("--once").ends() == 0
    for number in range(3):
        long_ago(site, f"{number}.png")
    happened(site.root, utc_text(datetime.now(UTC) - timedelta(days=2)))
    (site.incoming / "1.png").unlink()
    site.write(retention={"rows": {"days": 1}})
    engine = open_writer(f"sqlite:///{site.root}/inspectd.db", foreign_keys=False)
    RetentionThread(load(site.config), thread.RetentionLedger(engine)).run_once()
    engine.dispose()
    before = site.rows("select id, image_id from inspections")
    assert len(before) == 2
    assert site.start("--once").ends() == 0
    assert site.rows("select id, image_id from inspections") == before


def test_the_daemon_does_it_by_itself_and_takes_rules_at_a_reload(site: Site) -> None:
    site.write({"after": "move"})
    daemon = site.start()
    daemon.heard("READY=1")
    for name in ("old.png", "new.png"):
        site.drop(name, picture(DARK))
    moved = "select path from images where \"after\" = 'moved' order by path"
    until(lambda: site.rows(moved) == [("new.png",), ("old.png",)], "both are moved")
    long_ago(site, "old.png")
    happened(site.root, utc_text(datetime.now(UTC) - timedelta(days=2)))
    with sqlite3.connect(site.root / "inspectd.db") as connection:
        connection.execute("UPDATE images SET ctime_ns = 0 WHERE path = 'old.png'")
    site.write({"after": "move"}, retention={"sources": {"days": 30}})
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: site.rows("select 1 from events where kind = 'retention'"), "the audit trail says so")
    assert site.rows(moved) == [("new.png",)]
    assert [path.name for path in (site.root / "archive").rglob("*.png")] == ["new.png"]
    assert daemon.stop() == 0


class Crash(BaseException):
    """The process dies here."""


def run_until_line(step: int, call: Callable[[], Any]) -> bool:
    """Run `call` and die before the step-th line of retention's own modules; whether it was reached.

    A line counts twice at most: before and after it has done its work for a first time.
    """
    seen = 0
    visits: Counter[tuple[str, int]] = Counter()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if frame.f_code.co_filename not in (thread.__file__, removal.__file__, thread.__file__):
            return None
        place = (frame.f_code.co_filename, frame.f_lineno)
        visits[place] += event == "line"
        if event == "line" and visits[place] <= 2:
            seen += 1
            if seen == step:
                raise Crash
        return trace

    sys.settrace(trace)
    try:
        call()
    except Crash:
        return True
    finally:
        sys.settrace(None)
    return False


ALL = {"overlays": {"days": 90}, "sources": {"days": 90}, "rows": {"days": 300}}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rule", ALL)
def test_a_crash_at_any_step_leaves_neither_orphan_nor_a_verdict_that_points_at_nothing(
    tmp_path: Path, rule: str
) -> None:
    """And even if the rule is gone at the next start: what was let go of is made good."""
    root, before = tmp_path / "site", tmp_path / "before"
    place = Place(root, after="delete" if rule == "rows" else "move")
    for name in ("old.png", "older.png"):
        place.judge(name, OLD)
    place.judge("new.png", 1)
    place.close()
    shutil.copytree(root, before)
    died, steps = True, 0
    while died:
        steps += 1
        place.close()
        shutil.rmtree(root)
        shutil.copytree(before, root)
        place.configure(**{rule: ALL[rule]})
        started = place.start()
        died = run_until_line(steps, started.run_once)
        started.stop()
        place.configure()
        place.run()
        looks = [place.overlays, place.sources] if place.after == "move" else [place.overlays]
        for look in looks:
            look()  # which finds the files that the ledger names, and no other
        assert place.ask("SELECT * FROM removals") == []
        place.configure(**{rule: ALL[rule]})
        place.run()
        assert place.ask("SELECT count(*) FROM images") == [(1 if rule == "rows" else 3,)]
        assert (place.sources() if rule == "sources" else place.overlays()) in ({"new.png"}, {"new"})
        assert [each.name for each in check(place.url, ["line"]) if each.fault] == []
    assert steps > 50


def test_a_disk_that_refuses_is_told_once_and_made_good_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.judge("a.png", OLD)
    place.configure(overlays={"days": 90})

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:  # as a disk does that is read-only for a while
        patched.setattr(os, "unlink", refuse)
        assert "Read-only file system" in (place.run().problem or "")
    assert place.ask("SELECT count(*) FROM removals") == [(2,)]
    assert place.run().problem is None
    assert place.overlays() == set()


def test_batches_are_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inspectd.service.retention.candidates.PAGE", 3)
    for number in range(8):
        place.judge(f"{number}.png", OLD)
    place.configure(overlays={"days": 90})
    started = place.start()
    sizes = []
    let_go = started._rules[0].let_go
    object.__setattr__(started._rules[0], "let_go", lambda files: (sizes.append(len(files)), let_go(files)))
    started.run_once()
    started.stop()
    assert sizes == [3, 3, 2]
    assert place.overlays() == set()


def test_the_oldest_are_found_by_their_index(place: Place) -> None:
    asked: list[tuple[str, tuple[Any, ...]]] = []

    @event.listens_for(place.engine, "before_cursor_execute")
    def _note(_c: object, _cursor: object, statement: str, values: tuple[Any, ...], *_: object) -> None:
        asked.append((statement, values))

    ledger = thread.RetentionLedger(place.engine)
    for page, index in (
        (ledger.overlays, "inspections_overlay (inspected_at>?)"),
        (ledger.sources, "images_moved (finished_at>?)"),
        (ledger.rows, "images_finished (finished_at>?)"),
    ):
        page(Cursor("2026-11-23", 1), 200)
        statement, values = asked[-1]
        with place.engine.connect() as connection:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
        assert any(index in line for line in plan), plan
        assert not any("TEMP B-TREE" in line or line.startswith("SCAN") for line in plan), plan


def test_the_preview_says_what_would_go_and_changes_nothing(place: Place) -> None:
    protect(place)
    place.configure(overlays={"days": 1}, sources={"days": 1})
    found = preview(place.config, place.engine, datetime.now(UTC))
    assert [(rule.name, rule.by_age, rule.still_short) for rule in found.rules] == [
        ("sources", 1, False),
        ("overlays", 1, False),
    ]
    assert found.protected == {"pinned": 1, "reviewed": 1, "review": 1, "failed": 1}
    assert len(place.overlays()) == 5


def test_a_clock_that_leaps_makes_nothing_old_for_a_day() -> None:
    clock = AgeClock()
    assert clock.is_steady(wall=1_000_000, boot=100)
    assert clock.is_steady(wall=1_000_060, boot=160)
    assert not clock.is_steady(wall=900_000_000, boot=220)
    assert not clock.is_steady(wall=900_080_000, boot=80_220)
    assert clock.is_steady(wall=900_086_401, boot=86_621)


def candidate(number: int, size: int, device: int = 1) -> Removable:
    row = RetentionCandidate(number, f"2026-11-{number:02d}", number, "line", "", "", None, 0, 0, 0, None, False, False)
    return Removable(row, (), size, device)


def test_choosing_takes_the_oldest_until_enough_is_free_on_the_disk_that_is_short() -> None:
    there = [candidate(1, 10), candidate(2, 10, device=2), candidate(3, 10), candidate(4, 10)]
    missing = {1: 15}
    assert [found.candidate.id for found in choose(there, "", missing)] == [1, 3]
    assert [found.candidate.id for found in choose(there, "", missing)] == []
    assert [found.candidate.id for found in choose(there, "2026-11-03", {})] == [1, 2]
    assert [found.candidate.id for found in choose(there, "2026-11-02", {1: 15, 2: 1})] == [1, 2, 3]
