"""Disk, ledger, overlays and sidecars held against each other: each kind of gap made, found, and put right."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from support.queueing import enqueue
from support.site import BRIGHT, DARK, Site, laid_out, picture, until
from typer.testing import CliRunner

from inspectd import config
from inspectd.cli.main import app
from inspectd.domain import Stat
from inspectd.ingest.naming import Naming
from inspectd.ingest.scan import Walk
from inspectd.ledger.database import open_reader, open_writer, upgrade
from inspectd.ledger.read.filters import Span
from inspectd.ledger.read.reconcile import bundles
from inspectd.ledger.records import Arrival
from inspectd.ledger.write.queue import Queue
from inspectd.model.bundle import load_bundle
from inspectd.model.loading import open_inspector
from inspectd.model.null import write_null_bundle
from inspectd.paths import to_text
from inspectd.service.reconcile.comparison import Comparison
from inspectd.service.reconcile.gaps import Gap
from inspectd.service.reconcile.repair import Repairs
from inspectd.worker.after import carry_out
from inspectd.worker.batch import Batch, Lane
from inspectd.worker.models import Opened

LATER = timedelta(hours=2)  # beyond every grace


def judged(site: Site, *names: str, **top: Any) -> None:
    """Files of these names, taken in and inspected as the daemon does it, but in this process."""
    site.write(top.pop("watch", None), **top)
    upgrade(f"sqlite:///{site.root}/inspectd.db")
    for seed, name in enumerate(names):
        site.drop(name, picture(BRIGHT if seed % 2 else DARK, seed=seed))
    inspect(site)


def inspect(site: Site) -> None:
    """Give everything that lies in the watch its outcome."""
    settings = config.load(site.config)
    (watch,) = settings.watch
    putting_away = [watch.name] if watch.after != "keep" else []
    queue = Queue(open_writer(settings.database))
    inspector = open_inspector(load_bundle(watch.model), "cpu", "float32")
    spec = inspector.bundle.spec
    model = queue.register_model(inspector.bundle.identity, spec.name, spec.version, [], {})
    naming = Naming(watch)

    def unreadable(folder: str, error: OSError) -> None:
        raise AssertionError(folder) from error

    with ThreadPoolExecutor(1) as pool:
        lane = Lane(
            *(settings, Opened(inspector, 0.0), queue),
            model_id=model,
            watches=[watch.name],
            owner="test",
            pool=pool,
            network=Lock(),
            beat=lambda: None,
        )
        for _ in range(2):  # no file fails at first sight
            seen = sorted((each for each in Walk(watch, naming, unreadable) if each), key=lambda each: each[0])
            queue.arrivals.enqueue(watch.name, [Arrival(to_text(path), stat) for path, stat in seen])
            Batch(lane, queue.claims.take("test", [watch.name], 500, 60.0) or []).judge().commit()
            queue.after.record([(each, *carry_out(watch, each)) for each in queue.after.pending(putting_away, 500)])


def gaps(site: Site, after: timedelta = LATER, span: Span = Span()) -> list[Gap]:  # noqa: B008  # frozen
    settings = config.load(site.config)
    engine = open_reader(settings.database)
    return list(Comparison(settings, engine, span, datetime.now(UTC) + after).gaps())


def found(site: Site) -> list[tuple[str, str]]:
    return [(gap.kind.value, gap.path) for gap in gaps(site)]


def run(site: Site, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["reconcile", "-c", str(site.config), *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout + done.stderr


def overlays(site: Site) -> dict[str, Path]:
    return {path: site.root / "output" / overlay for path, overlay in site.rows("select path, overlay from verdicts")}


def test_what_was_inspected_agrees_with_the_disk(site: Site) -> None:
    judged(site, "a.png", "b.png", sidecar=True)
    assert found(site) == []
    assert run(site) == (0, "Disk, ledger, overlays and sidecars agree.\n")
    assert run(site, "--json") == (0, "[]\n")


def test_a_file_without_a_row_is_a_gap_once_the_daemon_has_had_its_time(site: Site) -> None:
    judged(site, "a.png")
    site.drop("late.png", picture(DARK, seed=9))
    site.drop("no image.txt", b"not taken by this watch")
    assert gaps(site, after=timedelta(seconds=1)) == []
    assert found(site) == [("file-without-row", "late.png")]


def test_a_file_that_was_touched_is_one_that_nobody_has_looked_at(site: Site) -> None:
    judged(site, "a.png")
    os.utime(site.incoming / "a.png")
    (gap,) = gaps(site)
    assert (gap.kind, gap.path) == ("file-without-row", "a.png")
    assert "touched" in gap.detail


def test_a_row_whose_file_is_gone(site: Site) -> None:
    judged(site, "a.png", "b.png")
    (site.incoming / "a.png").unlink()
    assert found(site) == [("row-without-file", "a.png")]


def test_a_file_that_was_replaced_is_missed_once_only(site: Site) -> None:
    judged(site, "a.png")
    site.drop("a.png", picture(BRIGHT, seed=7))
    inspect(site)
    assert found(site) == []
    (site.incoming / "a.png").unlink()
    assert [gap.record and gap.record.image_id for gap in gaps(site)] == [2]


def test_a_moved_source_is_looked_for_where_it_was_moved(site: Site) -> None:
    judged(site, "a.png", "b.png", watch={"after": "move"})
    assert found(site) == []
    next((site.root / "archive").rglob("b.png")).unlink()
    assert found(site) == [("row-without-file", "b.png")]


def test_a_moved_source_that_was_written_to_since_is_said(site: Site) -> None:
    """Its writer still had it open, and went on writing; also where the size stays the same."""
    judged(site, "a.png", "b.png", "c.png", watch={"after": "move"})
    longer, changed, coarse = (next((site.root / "archive").rglob(f"{name}.png")) for name in "abc")
    with longer.open("ab") as file:
        file.write(b"the rest")
    os.utime(changed, (0, 0))
    seconds = int(coarse.stat().st_mtime)
    os.utime(coarse, (seconds, seconds))  # as a file system of coarser times keeps it
    told = gaps(site)
    assert [(gap.kind, gap.path) for gap in told] == [("moved-file-changed", "a.png"), ("moved-file-changed", "b.png")]
    assert told[0].detail == f"done, and {longer} was written to since, or replaced"


def test_a_source_that_was_deleted_by_rule_owes_nothing(site: Site) -> None:
    judged(site, "ok.png", "defect.png", watch={"after": "delete"})
    assert not (site.incoming / "ok.png").exists()
    assert found(site) == []
    (site.incoming / "defect.png").unlink()
    assert found(site) == [("row-without-file", "defect.png")]


def test_a_source_that_is_on_its_way_is_not_gone(site: Site) -> None:
    judged(site, "a.png", watch={"after": "move"})
    moved = next((site.root / "archive").rglob("a.png"))
    with sqlite3.connect(site.root / "inspectd.db") as connection:  # it died before it could say so
        connection.execute("UPDATE images SET after = 'pending', moved_to = NULL")
    assert found(site) == []
    moved.rename(site.incoming / ".inspectd-1.tmp")
    assert found(site) == []
    (site.incoming / ".inspectd-1.tmp").unlink()
    assert found(site) == [("row-without-file", "a.png")]


def test_a_verdict_whose_overlay_is_gone(site: Site) -> None:
    judged(site, "a.png", "b.png")
    overlays(site)["b.png"].unlink()
    assert found(site) == [("verdict-without-overlay", "b.png")]
    with sqlite3.connect(site.root / "inspectd.db") as connection:  # removed by rule, and the ledger says so
        connection.execute("UPDATE inspections SET overlay = NULL WHERE image_id = 2")
    assert found(site) == []


def test_overlays_and_sidecars_that_nothing_stands_behind(site: Site) -> None:
    judged(site, "a.png", sidecar=True)
    overlay = overlays(site)["a.png"]
    strays = [overlay.with_name(f"a-7-{'0' * 8}.jpg"), overlay.with_name(f"a-1-{'0' * 8}.json")]
    for stray in strays:
        shutil.copyfile(overlay, stray)
    shutil.copyfile(overlay, overlay.with_name("Thumbs.db"))
    expected = {("overlay-without-verdict", str(stray.relative_to(site.root / "output"))) for stray in strays}
    assert set(found(site)) == expected


def test_sidecars_are_missed_for_verdicts_and_failures_where_they_are_wanted(site: Site) -> None:
    (site.incoming / "broken.png").write_bytes(b"no image at all")
    judged(site, "a.png", sidecar=True)
    for file in (site.root / "output").rglob("*.json"):
        file.unlink()
    assert sorted(found(site)) == [("outcome-without-sidecar", "a.png"), ("outcome-without-sidecar", "broken.png")]
    site.write()
    assert found(site) == []


def test_a_failure_that_repeats_leaves_no_second_sidecar(site: Site) -> None:
    broken = site.incoming / "broken.png"
    broken.write_bytes(b"no image at all")
    judged(site, sidecar=True)
    os.utime(broken)
    inspect(site)
    assert site.rows("select count(*) from images") == [(1,)]
    assert found(site) == []


def test_what_waits_too_long_is_listed(site: Site) -> None:
    judged(site, "a.png")
    queue = Queue(open_writer(config.load(site.config).database))
    path = site.drop("queued.png", picture(DARK, seed=5))
    queue.arrivals.enqueue("line", [Arrival("queued.png", Stat.of(path.stat()))])
    path = site.drop("slow.png", picture(DARK, seed=6))
    queue.arrivals.stall("line", [Arrival("slow.png", Stat.of(path.stat()))], "stalled: still being written")
    assert [gap.path for gap in gaps(site, after=timedelta(seconds=1))] == ["slow.png"]
    assert found(site) == [("no-outcome", "queued.png"), ("no-outcome", "slow.png")]
    (site.incoming / "queued.png").unlink()
    assert ("row-without-file", "queued.png") in found(site)


def test_a_folder_that_is_away_is_said_once_and_no_file_of_it_is_called_lost(site: Site) -> None:
    judged(site, "a.png", "b.png")
    site.incoming.rename(site.root / "away")
    (gap,) = gaps(site)
    assert (gap.kind, gap.watch) == ("not-compared", "line")
    (site.root / "away").rename(site.incoming)
    (site.root / "output").rename(site.root / "away")
    (gap,) = gaps(site)
    assert gap.kind == "not-compared"
    assert "output" in gap.detail


def test_only_what_arrived_in_the_span_is_compared(site: Site) -> None:
    judged(site, "a.png")
    (site.incoming / "a.png").unlink()
    site.drop("late.png", picture(DARK, seed=9))
    (site.root / "output" / "line" / "2020-01-01").mkdir()
    (site.root / "output" / "line" / "2020-01-01" / f"x-99-{'0' * 8}.jpg").touch()
    now = datetime.now(UTC)
    assert {gap.kind for gap in gaps(site, span=Span(since=now + LATER))} == set()
    assert {gap.path for gap in gaps(site, span=Span(since=now - LATER))} == {"a.png", "late.png"}
    assert len(gaps(site, span=Span(until=now - LATER))) == 1
    assert len(gaps(site)) == 3


def test_gaps_in_numbered_names_by_folder_and_series(site: Site) -> None:
    (site.incoming / "sub").mkdir()
    names = ["img_0007.png", "img_0012.png", "img_0008.png", "img_5.png", "sub/img_1.png", "cam2_img_30.png"]
    judged(site, *names, "other.png")
    site.drop("cam2_img_32.png", picture(DARK, seed=9))  # not yet known, and no gap for that
    code, said = run(site, "--json", "--sequence", r"^(?:(cam\d)_)?img_(?P<number>\d+)")
    missing = [(gap["path"], gap["detail"].split(" missing")[0]) for gap in json.loads(said)]
    assert missing == [("img_0007.png", "6"), ("img_0012.png", "9-11 (3)"), ("cam2_img_32.png", "31")]
    assert code == 1


def test_numbers_are_read_from_the_name_and_not_from_its_escapes(site: Site) -> None:
    judged(site, "light%0041.png", "light%0043.png", os.fsdecode(b"caf\xe9_7.png"), os.fsdecode(b"caf\xe9_9.png"))
    code, said = run(site, "--json", "--sequence", r"(?P<camera>^\D+)(?P<number>\d+)$")
    assert sorted(gap["detail"].split(" missing")[0] for gap in json.loads(said)) == ["42", "8"]
    assert code == 1


def test_huge_numbers_and_huge_gaps_take_no_memory(site: Site) -> None:
    judged(site, "img_1.png", f"img_{10**30}.png")
    code, said = run(site, "--sequence", r"img_(\d+)")
    assert code == 1
    assert f"2-{10**30 - 1} ({10**30 - 2}) missing" in said


def test_people_are_shown_the_gaps_by_kind_with_their_number(site: Site) -> None:
    judged(site, *(f"{number}.png" for number in range(53)))
    for number in range(52):
        (site.incoming / f"{number}.png").unlink()
    overlays(site)["52.png"].unlink()
    code, said = run(site)
    assert code == 1
    assert said.startswith("52 rows whose file is gone:\n  line: 0.png: done, and the file is gone\n")
    assert "  and 2 more; --json has them all.\n1 verdicts without their overlay:\n  line: 52.png: line/" in said
    assert len(json.loads(run(site, "--json")[1])) == 53


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--sequence", r"img_\d+"], "no group around the number"),
        (["--sequence", "img_("], "no regular expression"),
        (["--watch", "lane"], "there is no watch lane"),
    ],
)
def test_wrong_usage_is_told(site: Site, arguments: list[str], sentence: str) -> None:
    judged(site, "a.png")
    done = CliRunner().invoke(app, ["reconcile", "-c", str(site.config), *arguments])
    assert done.exit_code != 0
    assert sentence in " ".join((done.stderr or str(done.exception)).replace("│", " ").split())


def test_many_rows_and_files_pass_through_in_little_memory(site: Site) -> None:
    upgrade(f"sqlite:///{site.root}/inspectd.db")
    (site.root / "output").mkdir()
    queue = Queue(open_writer(f"sqlite:///{site.root}/inspectd.db"))
    for number in range(2_000):
        (site.incoming / f"{number}.png").touch()
    enqueue(queue, "line", [Arrival(f"gone-{number}.png", Stat(1, number, number)) for number in range(6_000)])
    settings = config.load(site.config)
    comparison = Comparison(settings, open_reader(settings.database), Span(), datetime.now(UTC) + LATER)
    tracemalloc.start()
    try:
        kinds = [gap.kind for gap in comparison.gaps()]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(kinds) == 8_000
    assert peak < 3 * 2**20


def repaired(site: Site) -> dict[tuple[str, str], tuple[bool, str]]:
    """Whether a repair has put each gap right, by kind and path, and what it says of it."""
    settings = config.load(site.config)
    reader = open_reader(settings.database)
    comparison = Comparison(settings, reader, Span(), datetime.now(UTC) + LATER)
    repairs = Repairs(settings, Queue(open_writer(settings.database)), bundles(reader))
    done = repairs.repair(comparison.gaps())
    return {(each.gap.kind.value, each.gap.path): (each.problem is None, each.problem or each.done) for each in done}


def test_a_repair_queues_what_was_missed_and_the_daemon_judges_it(site: Site) -> None:
    judged(site, "a.png", watch={"fields": r"(?P<part>\d+)"})
    site.drop("4711.png", picture(BRIGHT, seed=9))
    assert repaired(site) == {("file-without-row", "4711.png"): (True, "queued")}
    assert site.rows("select path, part, verdict from verdicts where part is not null") == [
        ("4711.png", "4711", "pending")
    ]
    assert gaps(site, after=timedelta(seconds=1)) == []
    assert repaired(site).keys() == {("no-outcome", "4711.png")}
    assert site.start("--once").ends() == 0
    assert site.rows() == [("4711.png", "defect"), ("a.png", "ok")]
    assert found(site) == []


def test_a_file_that_came_back_is_queued_under_its_own_row(site: Site) -> None:
    judged(site, "a.png")
    stat = Stat.of(site.drop("b.png", picture(DARK, seed=4)).stat())
    queue = Queue(open_writer(config.load(site.config).database))
    queue.arrivals.stall("line", [Arrival("b.png", stat)], "stalled")
    queue.arrivals.close_vanished("line", ["b.png"])
    assert found(site) == [("file-without-row", "b.png")]
    assert repaired(site) == {("file-without-row", "b.png"): (True, "queued")}
    inspect(site)
    assert site.rows() == [("a.png", "ok"), ("b.png", "ok")]


@pytest.mark.parametrize("after", ["keep", "move"])
def test_an_overlay_comes_back_with_the_next_run_and_the_verdict_stands(site: Site, after: str) -> None:
    judged(site, "a.png", "b.png", "c.png", watch={"after": after}, sidecar=True)
    everything = site.rows("select * from inspections order by id"), site.rows("select * from verdicts order by path")
    before = {path: file.read_bytes() for path, file in overlays(site).items()}
    for path in ("a.png", "b.png"):
        overlays(site)[path].unlink()
    assert {ok for ok, _ in repaired(site).values()} == {True}
    assert {ok for ok, _ in repaired(site).values()} == {True}, "twice is as good as once"
    assert site.rows("select state, count(*) from images group by state") == [("done", 3)]
    assert site.start("--once").ends() == 0
    assert {path: file.read_bytes() for path, file in overlays(site).items()} == before
    after_all = site.rows("select * from inspections order by id"), site.rows("select * from verdicts order by path")
    assert after_all == everything
    assert site.rows("select * from redraws") == []
    assert found(site) == []


def test_a_running_daemon_draws_what_a_repair_asks_for(site: Site) -> None:
    judged(site, "a.png")
    overlay = overlays(site)["a.png"]
    daemon = site.start()
    daemon.heard("READY=1")
    overlay.unlink()
    code, said = run(site, "--repair")
    assert (code, said.rpartition(": ")[2]) == (0, "to be drawn again by the daemon\n")
    until(overlay.is_file, "the overlay")
    assert daemon.stop() == 0
    assert run(site)[0] == 0


def test_beside_a_busy_daemon_nothing_that_is_under_way_is_a_gap(site: Site) -> None:
    site.write({"after": "move"}, sidecar=True)
    daemon = site.start()
    daemon.heard("READY=1")
    for number in range(300):
        site.drop(f"{number}.png", picture(DARK, seed=number))

    def are_put_away() -> bool:
        assert gaps(site, after=timedelta()) == []
        return site.rows("select count(*) from images where after = 'moved'") == [(300,)]

    assert not are_put_away()
    until(are_put_away, "300 images in the archive")
    assert daemon.stop() == 0
    assert found(site) == []


def test_an_overlay_that_cannot_be_drawn_again_is_said(site: Site) -> None:
    judged(site, "gone.png", "other.png", "kept.png")
    for overlay in overlays(site).values():
        overlay.unlink()
    (site.incoming / "gone.png").unlink()
    (site.incoming / "other.png").write_bytes(picture(DARK, seed=8))
    told = {path: each for (kind, path), each in repaired(site).items() if kind == "verdict-without-overlay"}
    assert {path: ok for path, (ok, _) in told.items()} == {"gone.png": False, "other.png": False, "kept.png": True}
    assert "No such file" in told["gone.png"][1]
    assert "written or touched" in told["other.png"][1]
    write_null_bundle(site.root / "models" / "second", name="second")
    site.write({"model": "models/second"})
    assert "another model judged it" in repaired(site)["verdict-without-overlay", "kept.png"][1]


def test_a_run_ends_though_an_overlay_cannot_be_drawn_any_more(site: Site) -> None:
    judged(site, "a.png")
    overlays(site)["a.png"].unlink()
    repaired(site)
    stat = (site.incoming / "a.png").stat()
    (site.incoming / "a.png").write_bytes(picture(BRIGHT, seed=1))
    os.utime(site.incoming / "a.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    daemon = site.start("--once")
    assert daemon.ends() == 0
    assert "cannot be drawn again: changed: it is not the content that was judged" in daemon.log.read_text()
    assert site.rows("select verdict from inspections order by id") == [("ok",), ("defect",)]


def test_sidecars_come_back_byte_for_byte(site: Site) -> None:
    (site.incoming / "broken.png").write_bytes(b"no image at all")
    judged(site, "a.png", "4711.png", watch={"fields": r"(?P<part>\d+)"}, sidecar=True)
    before = {file: file.read_bytes() for file in (site.root / "output").rglob("*.json")}
    assert len(before) == 3
    for file in before:
        file.unlink()
    assert {ok for ok, _ in repaired(site).values()} == {True}
    assert {file: file.read_bytes() for file in (site.root / "output").rglob("*.json")} == before
    assert found(site) == []
    assert repaired(site) == {}


def test_a_failure_that_no_worker_wrote_about_gets_its_sidecar(site: Site) -> None:
    judged(site, "a.png", sidecar=True)
    queue = Queue(open_writer(config.load(site.config).database))
    queue.arrivals.stall("line", [Arrival("gone.png", Stat(1, 2, 3))], "stalled")
    queue.arrivals.close_vanished("line", ["gone.png"])
    assert found(site) == [("outcome-without-sidecar", "gone.png")]
    assert repaired(site)["outcome-without-sidecar", "gone.png"][0]
    (file,) = (site.root / "output").rglob("gone-2-*.json")
    said = json.loads(file.read_text())
    assert (said["verdict"], said["reason"].split(":")[0], said["sha256"]) == ("failed", "vanished", None)
    assert found(site) == []


def test_a_repair_removes_nothing_and_is_in_the_audit_trail(site: Site) -> None:
    judged(site, "a.png", "b.png")
    overlay = overlays(site)["a.png"]
    stray = overlay.with_name(f"a-9-{'0' * 8}.jpg")
    overlay.rename(stray)
    (site.incoming / "b.png").unlink()
    code, said = run(site, "--repair", "--json")
    told = {gap["kind"]: gap["repaired"] for gap in json.loads(said)}
    assert told == {"row-without-file": False, "verdict-without-overlay": True, "overlay-without-verdict": False}
    assert code == 1
    assert stray.is_file()
    assert site.rows("select count(*) from images") == [(2,)]
    assert site.rows("select detail from events where kind = 'reconcile'") == [
        ("3 gaps between disk and ledger, 1 of them repaired",)
    ]


AS_ANOTHER = """
import os, sys
from typer.testing import CliRunner
from inspectd.cli.main import app
def run(*options):
    done = CliRunner().invoke(app, ["reconcile", "-c", sys.argv[1], *options])
    print(done.exit_code, done.stdout + done.stderr)
run("--repair")  # everything is imported before the change: the other may not be allowed to where this Python lies
if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)
run()
run("--repair")
"""


def test_another_user_who_may_only_read_compares_and_repairs_nothing() -> None:
    """Needs root to become another user; without it, the same user compares and repairs."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, laid_out(Path(folder)) as site:
        judged(site, "a.png")
        overlays(site)["a.png"].unlink()
        site.root.chmod(0o755)
        command = [sys.executable, "-c", AS_ANOTHER, str(site.config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        first, compared, refused = re.split(r"^(?=\d )", done.stdout, flags=re.MULTILINE)[1:]
        assert first.startswith("0 1 verdicts without their overlay"), done.stderr
        assert compared.startswith("1 1 verdicts without their overlay")
        if os.geteuid() == 0:
            assert "cannot be written by this user" in refused
