"""The database file: created, upgraded, refused, and read by others while the daemon runs and while it does not."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text
from support.queueing import arrivals, inspected

from inspectd.errors import LedgerDamaged, LedgerError
from inspectd.ledger.backup import check
from inspectd.ledger.database import alembic_config, open_reader, open_writer, upgrade, without_fsync
from inspectd.ledger.records import Replay
from inspectd.ledger.schema import REVISION, Base
from inspectd.ledger.write.queue import Queue
from inspectd.mounts import file_system, is_network
from inspectd.resources import resource

OBJECTS = "SELECT name, sql FROM sqlite_master WHERE type = '{}' AND name NOT LIKE 'sqlite_%' ORDER BY name"
AT = "2026-11-23T15:28:34.123Z"
LATER = """
import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("images", sa.Column("station", sa.String))
    {last}
"""


def objects(file: Path, kind: str) -> list[tuple[str, str]]:
    with sqlite3.connect(file) as connection:
        return connection.execute(OBJECTS.format(kind)).fetchall()


@pytest.fixture
def file(tmp_path: Path, url: str) -> Path:  # noqa: ARG001 the url's fixture creates it
    return tmp_path / "inspectd.db"


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The migrations of a later release: one more than there is."""
    folder = tmp_path / "migrations"
    shutil.copytree(resource("migrations"), folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0010_station.py").write_text(LATER.format(last="pass"))
    return folder


def test_migrations_make_what_the_models_say(engine: Engine, file: Path, tmp_path: Path) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    plain = tmp_path / "plain.db"
    Base.metadata.create_all(create_engine(f"sqlite:///{plain}"))
    assert objects(file, "index") == objects(plain, "index")


def test_the_revision_in_the_code_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == REVISION


def test_the_view_has_exactly_its_columns(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        columns = [row[0] for row in connection.execute("SELECT * FROM verdicts").description]
    names = "verdict reason reviewed_as watch path part inspected_at label score model overlay sha256"
    assert " ".join(columns) == names


def test_the_writers_settings(engine: Engine) -> None:
    with engine.connect() as connection:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    assert settings == ["wal", 2, 1, 10_000]


def test_only_what_need_not_be_on_the_disk_is_not_waited_for(engine: Engine) -> None:
    def synchronous(of: Engine) -> int:
        with of.begin() as connection:
            return int(connection.exec_driver_sql("PRAGMA synchronous").scalar() or 0)

    assert [synchronous(each) for each in (engine, without_fsync(engine), engine)] == [2, 1, 2], "full, normal, full"


def test_a_write_transaction_holds_the_lock_from_its_beginning(engine: Engine, file: Path) -> None:
    other = sqlite3.connect(file, timeout=0, isolation_level=None)
    with engine.begin() as connection:
        connection.execute(text("SELECT 1"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_upgrade_of_a_current_database_changes_nothing(url: str, file: Path, queue: Queue) -> None:
    queue.arrivals.enqueue("line", arrivals(1))
    upgrade(url)
    assert queue.open_count(["line"]).queued == 1
    assert list(file.parent.glob("*.before-*")) == []


def test_an_upgrade_copies_the_database_first_and_the_daemon_may_have_it_open(
    url: str, file: Path, queue: Queue, scripts: Path
) -> None:
    queue.arrivals.enqueue("line", arrivals(3))  # still in the -wal file: a copy of the main file alone would miss them
    upgrade(url, scripts)
    (copy,) = file.parent.glob("inspectd.db.before-0010-*")
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0009",)]
        assert connection.execute("SELECT count(*) FROM images").fetchall() == [(3,)]
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0010",)]
        assert connection.execute("SELECT count(station), count(*) FROM images").fetchall() == [(0, 3)]


def test_a_ledger_of_the_first_release_keeps_its_rows(tmp_path: Path) -> None:
    first = tmp_path / "first"
    shutil.copytree(resource("migrations"), first, ignore=shutil.ignore_patterns("__pycache__", "000[2-9]_*"))
    file = tmp_path / "first.db"
    url = f"sqlite:///{file}"
    upgrade(url, first)
    row = {"watch": "line", "path": "a.png", "size": 1, "mtime_ns": 2, "ctime_ns": 3, "fields": "{}", "attempt": 1}
    row |= {"seen_at": "2026-11-23T15:28:34.123Z", "state": "done", "alone": 0, "deaths": 0, "after": "moved"}
    with sqlite3.connect(file) as connection:
        connection.execute(
            f"INSERT INTO images ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()]
        )
        before = connection.execute(f"SELECT {', '.join(row)} FROM images").fetchall()
        connection.execute("INSERT INTO models VALUES (1, ?, 'null', 1, '[]', '{}', '')", ["0" * 64])
    upgrade(url)
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]
        assert connection.execute(f"SELECT {', '.join(row)} FROM images").fetchall() == before
        assert connection.execute("SELECT pinned FROM images").fetchall() == [(0,)]
        assert connection.execute("SELECT name, ok, activation, calibration FROM models").fetchall() == [
            ("null", None, None, None)
        ]
    queue = Queue(open_writer(url))
    queue.arrivals.enqueue("line", arrivals(2))
    assert queue.open_count(["line"]).queued == 2
    replay = Replay((True, False), "softmax", {"offset": 0.5, "temperature": 2.0})
    for _ in range(2):
        assert queue.register_model("0" * 64, "null", 1, ["ok", "ng"], {}, replay) == 1
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT ok, activation, calibration FROM models").fetchall() == [
            ("[true, false]", "softmax", '{"offset": 0.5, "temperature": 2.0}')
        ]


def test_the_verdicts_of_an_older_ledger_stand_beside_its_images(tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(resource("migrations"), older, ignore=shutil.ignore_patterns("__pycache__", "000[5-9]_*"))
    file = tmp_path / "older.db"
    url = f"sqlite:///{file}"
    upgrade(url, older)
    states = {1: "done", 2: "done", 3: "failed", 4: "queued", 5: "settling", 6: "stalled", 7: "claimed"}
    with sqlite3.connect(file) as connection:
        connection.execute("INSERT INTO models VALUES (1, ?, 'null', 1, '[]', '{}', '', NULL, NULL, NULL)", ["0" * 64])
        for image, state in states.items():
            row = {"id": image, "watch": "line", "path": f"{image}.png", "size": 1, "mtime_ns": 2, "ctime_ns": 3}
            row |= {"seen_at": AT, "fields": "{}", "state": state, "attempt": 1, "alone": 0, "deaths": 0}
            row |= {"reason": "empty: nothing"} if state == "failed" else {}
            row |= {"finished_at": AT} if state in ("done", "failed") else {}
            row |= {"inspection_id": image} if state == "done" else {}
            row |= {"lease_owner": "w", "lease_until": 1.0} if state == "claimed" else {}
            put(connection, "images", row)
        for inspection, image, model, verdict in ((1, 1, 1, "ok"), (2, 2, 1, "review"), (3, 1, 2, "defect")):
            row = {"id": inspection, "image_id": image, "model_id": model, "inspected_at": AT, "verdict": verdict}
            row |= dict.fromkeys(("label", "precision", "device", "software"), "") | {"score": 0.5}
            put(connection, "inspections", row | dict.fromkeys(("logits", "thresholds", "regions", "timings"), "[]"))
        connection.execute(
            "INSERT INTO models SELECT 2, 'other', name, 2, '[]', '{}', '', NULL, NULL, NULL FROM models"
        )
        before = sorted(connection.execute("SELECT * FROM verdicts").fetchall())
    upgrade(url)
    with sqlite3.connect(file) as connection:
        assert sorted(connection.execute("SELECT * FROM verdicts").fetchall()) == before
        verdicts = [verdict for (verdict,) in connection.execute("SELECT verdict FROM images ORDER BY id")]
    assert verdicts == ["ok", "review", "failed", None, None, None, None]
    assert [found.fault for found in check(url, ["line"]) if found.fault] == []


def test_a_table_that_is_copied_into_a_new_one_loses_nothing(tmp_path: Path, scripts: Path) -> None:
    """Rows in every table, indexes, the view and what points where; also after an upgrade that was killed half way."""
    older = tmp_path / "older"
    shutil.copytree(resource("migrations"), older, ignore=shutil.ignore_patterns("__pycache__", "000[7-9]_*"))
    file = tmp_path / "older.db"
    url = f"sqlite:///{file}"
    upgrade(url, older)
    with sqlite3.connect(file) as connection:
        fill_every_table(connection)
    indexes, view, before = objects(file, "index"), objects(file, "view"), everything(file)
    (scripts / "versions" / "0010_station.py").write_text(LATER.format(last="import os; os.kill(os.getpid(), 9)"))
    script = "import pathlib, sys; from inspectd.ledger import database\n"
    script += "database.upgrade(sys.argv[1], pathlib.Path(sys.argv[2]))"
    assert subprocess.run([sys.executable, "-c", script, url, str(scripts)], check=False).returncode == -9
    assert everything(file) == before | {"alembic_version": [("0006",)]}
    upgrade(url)
    before["images"] = [(*row, 0, None) for row in before["images"]]  # no close was seen; no file has to wait
    before["inspections"] = [(*row, None, None, None) for row in before["inspections"]]  # one page; not tested
    assert everything(file) == before | {"alembic_version": [(REVISION,)]}
    assert (objects(file, "index"), objects(file, "view")) == (indexes, view)
    assert [found.fault for found in check(url, ["line"]) if found.fault] == []
    queue = Queue(open_writer(url))
    queue.arrivals.enqueue("line", arrivals(2))
    assert [claim.image_id for claim in queue.claims.take("w", ["line"], 9, 60.0) or []] == [41, 71, 72]


def fill_every_table(connection: sqlite3.Connection) -> None:
    """A ledger of schema 0006 with gaps in its ids, in which two models have judged one image and one waits."""
    image = {"watch": "line", "size": 1, "mtime_ns": 2, "ctime_ns": 3, "seen_at": AT, "fields": '{"line": "7"}'}
    image |= {"attempt": 1, "alone": 0, "deaths": 0, "part": "4711", "sha256": "5" * 64}
    done = {"state": "done", "finished_at": AT, "verdict": "ok", "after": "moved", "moved_to": "/archive/é%FF.png"}
    put(connection, "images", image | done | {"id": 7, "path": "a.png", "inspection_id": 5, "pinned": 1})
    put(connection, "images", image | {"id": 41, "path": "b.png", "state": "queued", "reason": "truncated: x"})
    failed = {"state": "failed", "finished_at": AT, "verdict": "failed", "reason": "not an image: it is text"}
    put(connection, "images", image | failed | {"id": 70, "path": "c.png", "deaths": 2})
    for model in (1, 2):
        row = {"id": model, "bundle": f"{model}" * 64, "name": "demo", "version": model, "classes": "[]"}
        put(connection, "models", row | {"metrics": "{}", "first_used_at": AT, "ok": "[true]", "activation": "softmax"})
    for inspection, model in ((5, 1), (9, 2)):
        row = {"id": inspection, "image_id": 7, "model_id": model, "inspected_at": AT, "verdict": "ok", "score": 0.1}
        row |= dict.fromkeys(("label", "precision", "device", "software"), "x") | {"heat": bytes(range(256))}
        put(connection, "inspections", row | dict.fromkeys(("logits", "thresholds", "regions", "timings"), "[1.5]"))
    review = {"id": 3, "image_id": 7, "reviewed_at": AT, "reviewer": "ada", "reviewed_as": "ok", "note": "fine"}
    put(connection, "reviews", review)
    put(connection, "events", {"id": 8, "at": AT, "kind": "start", "detail": "inspectd"})
    put(connection, "removals", {"id": 2, "root": "/archive", "path": "z.png", "size": 1, "mtime_ns": 2})
    put(connection, "redraws", {"inspection_id": 9})
    request = {"id": 4, "bundle": "2" * 64, "path": "/m", "requested_at": AT, "judged": 1, "openings": 0}
    put(connection, "reinspections", request)
    put(connection, "reinspection_images", {"reinspection_id": 4, "image_id": 7, "attempts": 1})


def everything(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables and of the view."""
    with sqlite3.connect(file) as connection:
        names = [name for name, _ in (*objects(file, "table"), *objects(file, "view"))]
        found = {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}
    assert all(found.values()), "a row in every table"
    return found


def put(connection: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()])


def test_an_upgrade_that_fails_changes_nothing(url: str, file: Path, scripts: Path) -> None:
    (scripts / "versions" / "0010_station.py").write_text(LATER.format(last="raise RuntimeError('half way')"))
    before = objects(file, "table")
    with pytest.raises(RuntimeError, match="half way"):
        upgrade(url, scripts)
    assert objects(file, "table") == before
    open_writer(url).dispose()


def test_a_newer_database_is_refused_and_left_alone(url: str, file: Path, scripts: Path) -> None:
    upgrade(url, scripts)
    before = file.read_bytes()
    for use in (upgrade, open_writer, open_reader):
        with pytest.raises(LedgerError, match=r"newer inspectd \(schema 0010; this one knows 0009\)"):
            use(url)
    assert file.read_bytes() == before


def test_an_older_database_is_for_upgrade_only(url: str, file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    for use in (open_writer, open_reader):
        with pytest.raises(LedgerError, match="older schema 0000"):
            use(url)


@pytest.mark.parametrize("use", [upgrade, open_writer, open_reader])
def test_what_is_no_ledger_is_refused_in_a_sentence(tmp_path: Path, use: object) -> None:
    assert callable(use)
    (tmp_path / "text.db").write_text("This is a shopping list, not a database. " * 50)
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    for name, sentence in (("text.db", "is not an inspectd database"), ("other.db", "belongs to another program")):
        with pytest.raises(LedgerError, match=sentence):
            use(f"sqlite:///{tmp_path / name}")


def test_the_file_is_the_one_that_is_written_down(tmp_path: Path) -> None:
    file = tmp_path / "100%41 #1" / "inspectd.db"
    file.parent.mkdir()
    upgrade(f"sqlite:///{file}")
    open_writer(f"sqlite:///{file}").dispose()
    assert file.exists()
    assert list(tmp_path.iterdir()) == [file.parent]


@pytest.mark.parametrize("url", ["postgresql://host/db", "sqlite://", "sqlite:///:memory:", "inspectd.db", "sqlite:"])
def test_what_names_no_sqlite_file_is_refused(url: str) -> None:
    with pytest.raises(LedgerError, match="must name a SQLite file"):
        open_reader(url)


def test_a_missing_database_and_a_missing_folder(tmp_path: Path) -> None:
    for use in (open_writer, open_reader):
        with pytest.raises(LedgerError, match="There is no results database"):
            use(f"sqlite:///{tmp_path / 'none.db'}")
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(LedgerError, match="Its folder must exist"):
        upgrade(f"sqlite:///{tmp_path / 'none' / 'inspectd.db'}")
    (tmp_path / "empty.db").touch()
    with pytest.raises(LedgerError, match="is empty"):
        open_reader(f"sqlite:///{tmp_path / 'empty.db'}")


def test_a_damaged_database_gives_a_sentence(url: str, file: Path, queue: Queue, engine: Engine) -> None:
    for start in range(0, 2_000, 500):
        queue.arrivals.enqueue("line", arrivals(500, start))
    engine.dispose()
    content = bytearray(file.read_bytes())
    content[8 * 4096 :] = b"\xa5" * (len(content) - 8 * 4096)
    file.write_bytes(content)
    with pytest.raises(LedgerError, match="is damaged"), open_reader(url).connect() as connection:
        connection.execute(text("SELECT sum(length(path)), max(reason) FROM images")).all()


def test_text_that_a_damaged_page_has_garbled_gives_the_same_sentence(url: str, file: Path) -> None:
    """SQLite hands it out, and no check of its own finds it."""
    with sqlite3.connect(file) as connection:
        connection.execute("INSERT INTO events (at, kind, detail) VALUES ('', '', CAST(x'6101ff' AS TEXT))")
    connection.close()
    with pytest.raises(LedgerDamaged, match="is damaged"), open_reader(url).connect() as reader:
        reader.execute(text("SELECT detail FROM events")).all()


def test_a_path_that_needs_quoting(tmp_path: Path) -> None:
    folder = tmp_path / "50% #1 ü"
    folder.mkdir()
    url = f"sqlite:///{folder / 'results.db'}"
    upgrade(url)
    with open_reader(url).connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM images")) == 0


def test_a_reader_cannot_write(url: str) -> None:
    with pytest.raises(LedgerError, match="cannot be written"), open_reader(url).begin() as connection:
        connection.execute(text("DELETE FROM images"))


@pytest.mark.parametrize("running", [True, False])
def test_the_sqlite_module_reads_while_the_writer_is_open_and_closed(
    url: str, file: Path, queue: Queue, engine: Engine, model: int, running: bool
) -> None:
    queue.arrivals.enqueue("line", arrivals(2))
    queue.outcomes.finish("w", model, [inspected(claim) for claim in queue.claims.take("w", ["line"], 1, 60)])
    if not running:
        engine.dispose()
    assert file.with_name("inspectd.db-wal").exists() == running
    for address in (f"file:{file}?mode=ro", f"file:{file}"):
        connection = sqlite3.connect(address, uri=True)
        assert connection.execute("SELECT verdict FROM verdicts ORDER BY path").fetchall() == [("ok",), ("pending",)]
        connection.close()
    with open_reader(url).connect() as reader:
        assert reader.scalar(text("SELECT count(*) FROM verdicts")) == 2


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder as `StateDirectoryMode=2770` makes it, which another user of its group can reach."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o2770)
    yield folder
    shutil.rmtree(folder)


def test_the_umask_alone_decides_who_shares_the_database(shared: Path) -> None:
    before = os.umask(0o007)
    try:
        upgrade(f"sqlite:///{shared / 'inspectd.db'}")
        engine = open_writer(f"sqlite:///{shared / 'inspectd.db'}")
        Queue(engine).event("start", "a test")
        modes = {path.name: path.stat().st_mode & 0o777 for path in shared.iterdir()}
        engine.dispose()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("inspectd.db", "inspectd.db-wal", "inspectd.db-shm"), 0o660)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("mode", [0o2770, 0o2750])
def test_another_user_of_the_group_reads(shared: Path, running: bool, mode: int) -> None:
    """Needs root to become another user; without it, the same user reads, which must work as well.

    The other user may not be allowed to where this Python lies, so everything is imported before the change.
    """
    script = (
        "import os, sys, sqlalchemy.dialects.sqlite; from inspectd.ledger.database import open_reader\n"
        "from sqlalchemy import create_engine, text; create_engine('sqlite://').connect().close()\n"
        "if os.geteuid() == 0: os.setgroups([int(sys.argv[2])]); os.setgid(65534); os.setuid(65534)\n"
        "with open_reader(sys.argv[1]).connect() as c: print(c.scalar(text('SELECT count(*) FROM verdicts')))"
    )
    url = f"sqlite:///{shared / 'inspectd.db'}"
    before = os.umask(0o007)
    try:
        upgrade(url)
        engine = open_writer(url)
        Queue(engine).arrivals.enqueue("line", arrivals(3))
        if not running:
            engine.dispose()
        shared.chmod(mode)
        command = [sys.executable, "-c", script, url, str(shared.stat().st_gid)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        Queue(engine).event("stop", "the owner can still write")
        engine.dispose()
    finally:
        os.umask(before)
    assert (done.stdout.strip(), done.stderr) == ("3", "")


MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /mnt/share rw,relatime shared:2 - nfs4 server:/export rw
31 22 0:41 / /mnt/with\040blank rw - cifs //server/share rw
32 30 0:42 / /mnt/share/local rw - tmpfs tmpfs rw
33 22 0:43 / /home/me/remote rw - fuse.sshfs me@host: rw
34 22 0:44 / /auto rw - autofs systemd-1 rw
35 34 0:45 / /auto rw - nfs server:/auto rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib/inspectd", "ext4"),
        ("/mnt/share/line", "nfs4"),
        ("/mnt/shared", "ext4"),
        ("/mnt/with blank/db", "cifs"),
        ("/mnt/share/local/db", "tmpfs"),
        ("/home/me/remote", "fuse.sshfs"),
        ("/auto/db", "nfs"),
    ],
)
def test_the_file_system_of_a_folder(folder: str, kind: str) -> None:
    assert file_system(Path(folder), MOUNTS.strip()) == kind
    assert is_network(kind) == (kind not in ("ext4", "tmpfs"))


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "fuseblk", "f2fs", "ntfs3", "vfat"]
)
def test_local_file_systems_are_welcome(kind: str) -> None:
    assert not is_network(kind)
