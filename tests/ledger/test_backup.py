"""A backup of a ledger that a real daemon writes, its restore as docs/database.md tells it, and what `check` finds."""

import errno
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.queueing import arrivals, inspected
from support.site import BRIGHT, DARK, Site, laid_out, picture, until

from inspectd.errors import LedgerError, LedgerUnavailable
from inspectd.ledger import database
from inspectd.ledger.backup import backup, check
from inspectd.ledger.records import Failed
from inspectd.ledger.write.queue import Queue

DONE = "select path, inspected_at from verdicts where verdict <> 'pending'"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    root = tmp_path / "site"
    root.mkdir()
    with laid_out(root) as site:
        yield site


@pytest.fixture
def filled(queue: Queue, model: int, url: str) -> str:
    """One verdict, one failure, one image in hand, two queued; all of it in the -wal file."""
    queue.arrivals.enqueue("line", arrivals(5))
    first, second, _ = queue.claims.take("w", ["line"], 3, 60)
    queue.outcomes.finish("w", model, [inspected(first), Failed(second, "empty: there is nothing in it")])
    return url


def faults(url: str, *watches: str) -> dict[str, str]:
    return {found.name: found.fault for found in check(url, watches or ("line",)) if found.fault}


def rows(file: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_a_backup_while_the_daemon_writes_is_whole_and_one_file(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    for number in range(300):
        site.drop(f"{number}.png", picture(DARK, seed=number))
    daemon = site.start()
    until(lambda: site.rows("select 1 from inspections"), "the first verdict")
    copies = [folder / f"{number}.db" for number in range(5)]
    for copy in copies:
        backup(f"sqlite:///{site.root}/inspectd.db", copy)
    site.outcomes(300)
    assert daemon.stop() == 0
    final = set(rows(site.root / "inspectd.db", DONE))
    assert sorted(folder.iterdir()) == copies
    judged = [set(rows(copy, DONE)) for copy in copies]
    for copy, earlier, later in zip(copies, judged, [*judged[1:], final], strict=True):
        assert faults(f"sqlite:///{copy}") == {}
        assert earlier <= later
    assert judged[0]
    assert sorted(folder.iterdir()) == copies  # reading a copy leaves nothing beside it either


def test_after_a_restore_what_was_judged_since_is_judged_again_and_nothing_else(site: Site, tmp_path: Path) -> None:
    ledger, copy = site.root / "inspectd.db", tmp_path / "copy.db"
    daemon = site.start()
    site.drop("before.png", picture(DARK))
    site.outcomes(1)
    backup(f"sqlite:///{ledger}", copy)
    site.drop("since.png", picture(BRIGHT))
    site.outcomes(2)
    first = dict(site.rows(DONE))
    daemon.kill()  # so that it leaves a -wal file, which must not be taken for one of the copy's
    assert ledger.with_name("inspectd.db-wal").stat().st_size

    ledger.unlink()
    for suffix in ("-wal", "-shm"):
        ledger.with_name(f"inspectd.db{suffix}").unlink(missing_ok=True)
    shutil.copyfile(copy, ledger)
    assert faults(f"sqlite:///{ledger}") == {}
    assert dict(site.rows(DONE)) == {"before.png": first["before.png"]}

    assert site.start("--once").ends() == 0
    second = dict(site.rows(DONE))
    assert second["before.png"] == first["before.png"]
    assert second["since.png"] > first["since.png"]
    assert site.rows("select path, verdict from verdicts order by path") == [
        ("before.png", "ok"),
        ("since.png", "defect"),
    ]
    assert faults(f"sqlite:///{ledger}") == {}


@pytest.mark.parametrize("there", ["a file", "a folder", "a dangling link"])
def test_nothing_is_overwritten(filled: str, tmp_path: Path, there: str) -> None:
    target = tmp_path / "copy.db"
    {
        "a file": lambda: target.write_text("mine"),
        "a folder": target.mkdir,
        "a dangling link": lambda: target.symlink_to("nowhere"),
    }[there]()
    before = target.lstat()
    with pytest.raises(LedgerError, match="exists already and is not overwritten"):
        backup(filled, target)
    assert target.lstat() == before
    assert list(tmp_path.glob("*.part")) == []


def test_a_name_taken_during_the_copy_is_not_overwritten(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "copy.db"
    monkeypatch.setattr(database, "fsync", lambda _: target.write_text("mine"))
    with pytest.raises(LedgerError, match="exists already"):
        backup(filled, target)
    assert target.read_text() == "mine"
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.parametrize(("number", "kind"), [(errno.EIO, LedgerError), (errno.ENOSPC, LedgerUnavailable)])
def test_a_copy_that_is_not_durable_gets_no_name(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[LedgerError]
) -> None:
    def fsync(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(database, "fsync", fsync)
    with pytest.raises(LedgerError, match=rf"The copy .*copy\.db cannot be written: {os.strerror(number)}") as refused:
        backup(filled, tmp_path / "copy.db")
    assert type(refused.value) is kind, "a daemon that upgrades waits for room, and for nothing else"
    assert list(tmp_path.glob("copy.db*")) == []


def test_a_target_without_room_or_folder_is_a_sentence(filled: str, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"none/copy\.db cannot be written: No such file or directory"):
        backup(filled, tmp_path / "none" / "copy.db")
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys; from pathlib import Path; from inspectd.ledger.backup import backup\n"
            "from inspectd.errors import LedgerError\n"
            "try: backup(sys.argv[1], Path(sys.argv[2]))\n"
            "except LedgerError as error: print(error)",
            *(filled, str(tmp_path / "copy.db")),
        ],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"The copy {tmp_path}/copy.db cannot"), done.stdout + done.stderr
    assert list(tmp_path.glob("copy.db*")) == []


def test_a_locked_ledger_is_a_sentence_and_no_endless_wait(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    copy = tmp_path / "plain.db"
    backup(filled, copy)
    holder = sqlite3.connect(copy, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")  # in a file without a -wal, this keeps readers out too
    with pytest.raises(LedgerUnavailable, match="is locked by another program"):
        database.copy_database(copy, tmp_path / "copy.db")
    holder.close()
    assert list(tmp_path.glob("copy.db*")) == []


def test_a_file_system_without_hard_links(filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **_options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    backup(filled, tmp_path / "copy.db")
    assert faults(f"sqlite:///{tmp_path}/copy.db") == {}
    with pytest.raises(LedgerError, match="exists already"):
        backup(filled, tmp_path / "copy.db")


def test_a_backup_holds_what_is_still_in_the_wal_file(filled: str, tmp_path: Path) -> None:
    backup(filled, tmp_path / "copy.db")
    states = [("claimed", 1), ("done", 1), ("failed", 1), ("queued", 2)]
    assert rows(tmp_path / "copy.db", "select state, count(*) from images group by state order by state") == states
    assert rows(tmp_path / "copy.db", "pragma journal_mode") == [("delete",)]


def test_a_whole_ledger_has_no_fault(filled: str) -> None:
    assert faults(filled) == {}
    assert [found.name for found in check(filled, ["line"])] == [
        *("integrity", "references", "schema", "states", "verdicts"),
        *("outcome", "inspections", "outcomes", "leases", "watches"),
    ]


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        ("DELETE FROM models", {"references"}),
        ("DROP INDEX images_open", {"schema"}),
        ("DROP VIEW verdicts", {"schema"}),
        ("UPDATE images SET state = 'lost' WHERE state = 'queued'", {"states"}),
        ("UPDATE images SET inspection_id = NULL WHERE state = 'done'", {"verdicts", "outcome"}),
        ("UPDATE images SET verdict = 'review' WHERE state = 'done'", {"outcome"}),
        ("UPDATE images SET verdict = NULL WHERE state = 'failed'", {"outcome"}),
        ("UPDATE images SET verdict = 'ok' WHERE state = 'queued'", {"outcome"}),
        ("DELETE FROM inspections", {"references", "verdicts", "outcome"}),
        (
            "UPDATE inspections SET image_id = (SELECT id FROM images WHERE state = 'failed')",
            {"verdicts", "inspections"},
        ),
        ("UPDATE images SET state = 'queued' WHERE state = 'done'", {"outcome", "inspections"}),
        ("UPDATE images SET finished_at = NULL WHERE state = 'done'", {"outcomes"}),
        ("UPDATE images SET reason = NULL WHERE state = 'failed'", {"outcomes"}),
        ("UPDATE images SET lease_until = NULL WHERE state = 'claimed'", {"leases"}),
        ("UPDATE images SET watch = 'gone' WHERE state = 'claimed'", {"watches"}),
        ("UPDATE images SET watch = 'gone' WHERE state = 'done'", set()),
    ],
)
def test_every_fault_is_found_and_named(filled: str, tmp_path: Path, harm: str, found: set[str]) -> None:
    connection = sqlite3.connect(tmp_path / "inspectd.db")
    connection.execute(harm)
    connection.commit()
    connection.close()
    assert set(faults(filled)) == found


def test_a_damaged_file_is_a_fault_that_ends_no_check(url: str, queue: Queue, tmp_path: Path) -> None:
    for start in range(0, 2_000, 500):
        queue.arrivals.enqueue("line", arrivals(500, start))
    copy = tmp_path / "copy.db"
    backup(url, copy)
    content = bytearray(copy.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle:] = b"\xa5" * (len(content) - middle)
    copy.write_bytes(content)
    found = faults(f"sqlite:///{copy}")
    assert "newest good copy" in found["integrity"]
    assert len(list(check(f"sqlite:///{copy}", ["line"]))) == 10
