"""A ledger whose pages are overwritten, before the start and under the daemon: it ends with a sentence, for a person.

SQLite reads a page again only when another process has written since, and pages that still lie in the -wal file come
from there. So the damage is done to pages that were written back before, and one image is dropped to make both
processes read on.
"""

import shutil
import sqlite3
from pathlib import Path

import pytest
from support.queueing import inspected
from support.site import BRIGHT, DARK, Daemon, Site, picture

from inspectd.domain import Stat
from inspectd.ledger.backup import backup, check
from inspectd.ledger.database import CHECK_MOST, open_writer, upgrade
from inspectd.ledger.records import Arrival
from inspectd.ledger.write.queue import Queue

PAGE = 4096
ALL = "select rootpage from sqlite_master where rootpage > 0"


@pytest.fixture
def site(site: Site) -> Site:
    """A ledger with one verdict, written back into its file, and a backup of it."""
    url = f"sqlite:///{site.root}/inspectd.db"
    upgrade(url)
    engine = open_writer(url)
    queue = Queue(engine)
    queue.arrivals.enqueue("line", [Arrival("before.png", Stat.of(site.drop("before.png", picture(DARK)).stat()))])
    model = queue.register_model("0" * 64, "null", "1", ["ok", "ng"], {})
    queue.outcomes.finish("test", model, [inspected(claim) for claim in queue.claims.take("test", ["line"], 1, 60)])
    backup(url, site.root / "backup.db")
    engine.dispose()
    return site


def damage(site: Site, roots: str = ALL) -> bytes:
    """Overwrite the first page of each table and index that `roots` finds, in place; what the file then holds."""
    ledger = site.root / "inspectd.db"
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as reader:
        pages = [page for (page,) in reader.execute(roots)]
    assert pages
    with ledger.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(b"\xa5" * PAGE)
    return ledger.read_bytes()


def root_of(table: str) -> str:
    return f"select rootpage from sqlite_master where name = '{table}'"


def assert_left_to_a_person(site: Site, daemon: Daemon, sentence: str = "is damaged. Stop inspectd, keep") -> None:
    assert daemon.ends() == 78, "systemd does not start it again"
    said = daemon.log.read_text()
    assert said.count(f"{site.root}/inspectd.db {sentence}") == 1
    assert "Restoring" in said
    assert "Traceback" not in said


def restore(site: Site, copy: Path) -> None:
    """As docs/database.md tells it."""
    aside = site.root / "aside"
    aside.mkdir()
    for name in ("inspectd.db", "inspectd.db-wal", "inspectd.db-shm"):
        if (site.root / name).exists():
            (site.root / name).rename(aside / name)
    shutil.copyfile(copy, site.root / "inspectd.db")
    assert [found for found in check(f"sqlite:///{site.root}/inspectd.db", ["line"]) if found.fault] == []


@pytest.mark.parametrize("table", ["images", "models"])
def test_a_damaged_page_is_found_at_the_start_and_nothing_is_written(site: Site, table: str) -> None:
    (site.root / "inspectd.db.before-0002-20250101T000000Z").touch()
    (site.root / "inspectd.db.before-0003-20260101T000000Z").touch()
    (site.root / "inspectd.db.before-0003-20260101T000000Z.99.part").touch()
    damaged = damage(site, root_of(table))
    site.drop("since.png", picture(BRIGHT))
    daemon = site.start()
    assert_left_to_a_person(site, daemon)
    assert "copy beside it is inspectd.db.before-0003-20260101T000000Z, made before" in daemon.log.read_text()
    assert (site.root / "inspectd.db").read_bytes() == damaged


@pytest.mark.long
def test_a_ledger_damaged_under_the_daemon_ends_it_and_a_copy_takes_its_place(site: Site) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    damage(site)
    site.drop("since.png", picture(BRIGHT))
    assert_left_to_a_person(site, daemon)
    assert "stopped" not in daemon.log.read_text()
    restore(site, site.root / "backup.db")
    assert site.start("--once").ends() == 0
    assert site.outcomes(2) == {"before.png": "ok", "since.png": "defect"}
    assert site.rows("select count(*) from inspections") == [(2,)]


def test_damage_that_only_the_worker_meets_ends_the_daemon_too(site: Site) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    damage(site, root_of("redraws"))
    site.drop("since.png", picture(BRIGHT))
    assert_left_to_a_person(site, daemon)
    assert site.rows("select kind from events where kind in ('stop', 'worker-died')") == []


@pytest.mark.long
def test_damage_in_a_ledger_too_large_for_the_look_at_the_start_is_met_by_retention(site: Site) -> None:
    with sqlite3.connect(site.root / "inspectd.db") as connection:
        connection.execute("create table ballast as select zeroblob(?)", [CHECK_MOST])
    connection.close()
    damage(site, root_of("removals"))
    site.write(retention={"overlays": {"days": 1}})
    assert_left_to_a_person(site, site.start())
