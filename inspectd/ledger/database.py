"""Create, upgrade, copy and open the database file.

- A writer takes the write lock when its transaction begins, so that what it has read stays true.
- A commit is on the disk when it returns, except with `without_fsync`.
- A reader can change nothing.
- An upgrade copies the database first. A database of another program or a newer version is left alone.
- Errors that a user can put right are raised as sentences.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, ExceptionContext, NullPool, QueuePool, create_engine, event, inspect, text

from inspectd.durable import fsync, lacks_room, rename_to_free
from inspectd.errors import LedgerError, LedgerUnavailable
from inspectd.ledger.schema import REVISION
from inspectd.ledger.sqlite_errors import code_of, damaged, explained
from inspectd.mounts import file_system, is_network, mountinfo
from inspectd.paths import database_file
from inspectd.resources import resource

if TYPE_CHECKING:
    from alembic.config import Config

BUSY_SECONDS = 10.0  # well below the silence that counts as a hang, because a locked ledger is no hang
CHECK_MOST = 2**27  # bytes that are checked at every start: a fraction of a second, two seconds from a slow disk

# While one file is copied to another, these codes are about the file that is read.
_OF_THE_SOURCE = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_BUSY}

_CONNECT: dict[str, Any] = {
    "timeout": BUSY_SECONDS,
    "isolation_level": None,  # the engine's own BEGIN, not the driver's guess
    "check_same_thread": False,
}


def open_writer(url: str, *, foreign_keys: bool = True) -> Engine:
    """Open the ledger for writing: every transaction takes the write lock at once, or waits up to 10 s for it.

    `foreign_keys`: False for `inspectd.ledger.write.retention`, which removes rows and keeps references true itself.

    Raises:
        LedgerError: no such database, not at this software's schema, on a network file system, or not usable.
    """
    path = database_file(url)
    _refuse_network(path)
    _must_exist(path)
    engine = _writer(path, foreign_keys=foreign_keys)
    _must_be_current(engine, path)
    return engine


def open_reader(url: str) -> Engine:
    """Open the ledger for queries: no statement can write, and the daemon may run or not.

    Each connection opens the file anew, so that a connection made before the daemon's start does not outlive it.

    Raises:
        LedgerError: no such database, not at this software's schema, or not usable.
    """
    path = database_file(url)
    _must_exist(path)
    engine = _engine(path, lambda: sqlite3.connect(_read_only_uri(path), uri=True, **_CONNECT), NullPool)
    _must_be_current(engine, path)
    return engine


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that only read: they see one state and never wait for a writer."""
    return engine.execution_options(begin="DEFERRED")


def without_fsync(engine: Engine) -> Engine:
    """The same engine for commits that need not be on the disk when they return.

    They survive the death of any process. A power cut may undo the last of them, in whole transactions.
    """
    return engine.execution_options(synchronous="NORMAL")


def upgrade(url: str, scripts: Path | None = None) -> None:
    """Create the database, or upgrade it to the newest schema. Either the whole upgrade is done or none of it.

    An existing database is copied beside itself first, as ``inspectd.db.before-0002-20261123T152834Z``.

    Args:
        scripts: The folder of migrations; None: the one that ships with this software.

    Raises:
        LedgerError: written by a newer inspectd or another program, on a network file system, or not usable.
        LedgerDamaged: a page is damaged. The check comes before anything is written.
        LedgerUnavailable: the database cannot be written just now; the same call may be made again.
    """
    from alembic import command  # here, so that queries do not pay for its import
    from alembic.script import ScriptDirectory

    path = database_file(url)
    _refuse_network(path)
    config = alembic_config(scripts)
    head = ScriptDirectory.from_config(config).get_current_head() or ""
    _create_file(path)
    engine = _writer(path, foreign_keys=False)  # a migration may have to rebuild a table that others point to
    try:
        with engine.begin() as connection:
            _refuse_damaged(connection, path)
            found = _revision(connection, path)
            if found is not None:
                _refuse_newer(found, head, path)
            if found == head:
                return
            if found is not None:
                stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
                copy_database(path, path.with_name(f"{path.name}.before-{head}-{stamp}"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def copy_database(path: Path, target: Path) -> None:
    """Copy what is committed, while others read and write. The copy is whole and durable under its name, or not there.

    The copy is one file, with the content of the -wal file in it.

    Raises:
        LedgerError: the target exists, or one of the two files cannot be read or written.
    """
    temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        if os.path.lexists(target):  # before the work; the renaming checks again
            raise FileExistsError
        _touch(temporary)
        _copy_pages(path, temporary)
        fsync(temporary)
        rename_to_free(temporary, target)
    except FileExistsError:
        raise LedgerError(f"{target} exists already and is not overwritten: choose another name.") from None
    except OSError as error:
        kind = LedgerUnavailable if lacks_room(error) else LedgerError
        raise kind(f"The copy {target} cannot be written: {error.strerror}.") from error
    except sqlite3.Error as error:
        code = code_of(error)
        refused = explained(code, path) if code in _OF_THE_SOURCE else explained(code, target, "copy")
        raise (refused or error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def alembic_config(scripts: Path | None = None) -> "Config":
    """Alembic's configuration for the migrations that ship with this software; there is no alembic.ini."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts or resource("migrations")).replace("%", "%%"))
    return config


def _writer(path: Path, *, foreign_keys: bool) -> Engine:
    def connect() -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(path, **_CONNECT)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        return connection

    return _engine(path, connect, QueuePool)


def _engine(path: Path, connect: Callable[[], sqlite3.Connection], pool: type[QueuePool] | type[NullPool]) -> Engine:
    engine = create_engine("sqlite://", creator=connect, poolclass=pool)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(f"PRAGMA synchronous = {options.get('synchronous', 'FULL')}")
        connection.exec_driver_sql(f"BEGIN {options.get('begin', 'IMMEDIATE')}")

    @event.listens_for(engine, "handle_error")
    def _explain(context: ExceptionContext) -> None:
        if error := explained(code_of(context.original_exception), path):
            raise error from context.original_exception

    return engine


def _read_only_uri(path: Path) -> str:
    """The URI that opens the file for reading only.

    Reading a WAL database needs its -wal and -shm files, or permission to create them. Without both no process is
    writing, and SQLite can be told that the file does not change.
    """
    idle = not path.with_name(f"{path.name}-wal").exists() and not os.access(path.parent, os.W_OK)
    return f"file:{quote(os.fsencode(path.absolute()))}?mode=ro{'&immutable=1' if idle else ''}"


def _refuse_network(path: Path) -> None:
    """Raise LedgerError for a database on a network file system.

    SQLite's write-ahead log needs shared memory and working locks. Network file systems promise both and keep neither,
    and the damage shows only later.
    """
    kind = file_system(path.absolute().parent.resolve(), mountinfo())
    if is_network(kind):
        raise LedgerError(
            f"The database {path} is on a network file system ({kind}), where SQLite loses data. "
            f"Set `database:` to a file on a local disk of this machine."
        )


def _must_exist(path: Path) -> None:
    try:
        path.stat()
    except FileNotFoundError:
        raise LedgerError(
            f"There is no results database {path} yet. `inspectd run` creates it; or correct `database:`."
        ) from None
    except OSError as error:
        raise LedgerError(f"The database {path} cannot be opened: {error.strerror}.") from error


def _create_file(path: Path) -> None:
    """Create an empty database file whose mode is the umask's alone: SQLite itself would bar the group from writing."""
    try:
        _touch(path)
    except OSError as error:
        kind = LedgerUnavailable if lacks_room(error) else LedgerError
        raise kind(
            f"The database {path} cannot be created or opened: {error.strerror}. Its folder must exist and be writable."
        ) from error


def _touch(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))


def _must_be_current(engine: Engine, path: Path) -> None:
    with reading(engine).connect() as connection:
        found = _revision(connection, path)
    if found is None:
        raise LedgerError(f"The database {path} is empty. `inspectd run` sets it up.")
    _refuse_newer(found, REVISION, path)
    if found != REVISION:
        raise LedgerError(
            f"The database {path} has the older schema {found}. `inspectd run` upgrades it to {REVISION}."
        )


def _refuse_damaged(connection: Connection, path: Path) -> None:
    """Check every page. In a larger file, damage shows only when a damaged page is read."""
    if path.stat().st_size <= CHECK_MOST and connection.scalar(text("PRAGMA quick_check(1)")) != "ok":
        raise damaged(path)


def _revision(connection: Connection, path: Path) -> str | None:
    """The schema's revision; None for an empty database."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables or "images" not in tables:
        raise LedgerError(f"The database {path} belongs to another program. Set `database:` to a file of its own.")
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def _refuse_newer(found: str, known: str, path: Path) -> None:
    if found > known:
        raise LedgerError(
            f"The database {path} was written by a newer inspectd (schema {found}; this one knows {known}). "
            f"Install that version, or put back the copy made before its upgrade ({path.name}.before-…)."
        )


def _copy_pages(path: Path, target: Path) -> None:
    """Copy all pages in one step, which sees one state and keeps no writer waiting."""
    source, copy = sqlite3.connect(_read_only_uri(path), uri=True, timeout=BUSY_SECONDS), sqlite3.connect(target)
    try:
        copy.execute("PRAGMA locking_mode = EXCLUSIVE")  # no shared memory, which a network share may not have
        source.backup(copy, progress=_give_up_on_a_lock)
        copy.execute("PRAGMA journal_mode = DELETE")  # the copy can then be read where nothing can be written
    finally:
        copy.close()
        source.close()


def _give_up_on_a_lock(status: int, _remaining: int, _pages: int) -> None:
    """Raise after `BUSY_SECONDS`; without this the copy would wait for ever."""
    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error
