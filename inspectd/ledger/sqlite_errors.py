"""What SQLite refuses, as a sentence for the person who can put it right. What has none here is a fault of the program.

Three kinds are kept apart, because the daemon answers each in its own way: what passes when somebody makes room or lets
go (it waits), a file that is damaged (it ends, and nothing more is written there), and all else. Nothing here
opens the database or knows a table.
"""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from inspectd.errors import LedgerDamaged, LedgerError, LedgerUnavailable

_SENTENCES = {
    sqlite3.SQLITE_NOTADB: "is not an inspectd database, or its beginning is damaged: SQLite cannot read it. "
    "Set `database:` to another file, or keep this one and restore a copy (docs/database.md, Restoring).",
    sqlite3.SQLITE_CORRUPT: "is damaged. Stop inspectd, keep the file, and put the newest good copy "
    "in its place (docs/database.md, Restoring).",
    sqlite3.SQLITE_READONLY: "cannot be written by this user. Group access to its folder (mode 2770) is needed, "
    "and a disk that is not read-only.",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened. Check that its folder exists and that this user may enter it.",
    sqlite3.SQLITE_PERM: "cannot be opened by this user. Group access to it and its folder (mode 2770) is needed.",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full. Free some space; nothing that was committed is lost.",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error. Check the disk and the system's log.",
    sqlite3.SQLITE_BUSY: "is locked by another program. Close the shell or tool that holds a transaction open on it.",
}
_NO_INODES = "cannot be opened: its disk has no inode left for the files beside it. Remove some files from that disk."
# What an operator puts right while the daemon waits; all others need a person before anything may go on.
_PASSING = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY}
# The file itself is no database, or is one no more: nothing may be written to it, and no restart helps.
_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def code_of(error: BaseException | None) -> int:
    """SQLite's primary code of an error; 0 where it has none.

    Everything in the ledger was written as UTF-8: text that is none comes from a damaged page; SQLite cannot know.
    """
    if isinstance(error, sqlite3.OperationalError) and str(error).startswith("Could not decode to UTF-8"):
        return sqlite3.SQLITE_CORRUPT
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def explained(code: int, path: Path, what: str = "database") -> LedgerError | None:
    """The error with its sentence about the file `path`; None for what is a bug."""
    if code not in _SENTENCES:
        return None
    subject = f"The {what} {path}"
    if code in _DAMAGED:
        return LedgerDamaged(f"{subject} {_SENTENCES[code]}{_copy_beside(path)}")
    if code == sqlite3.SQLITE_CANTOPEN and _has_no_inodes(path.parent):
        return LedgerUnavailable(f"{subject} {_NO_INODES}")
    kind = LedgerUnavailable if code in _PASSING else LedgerError
    return kind(f"{subject} {_SENTENCES[code]}")


def damaged(path: Path) -> LedgerDamaged:
    """The error for damage that a check has found, with the sentence that SQLite's own report of it gets."""
    return LedgerDamaged(f"The database {path} {_SENTENCES[sqlite3.SQLITE_CORRUPT]}{_copy_beside(path)}")


def _copy_beside(path: Path) -> str:
    """Names the newest copy that an upgrade has left, by the time in its name; empty where there is none."""
    newest = None
    with suppress(OSError):
        beside = [each.name for each in path.parent.iterdir() if each.name.startswith(f"{path.name}.before-")]
        whole = [name for name in beside if not name.endswith(".part")]
        newest = max(whole, key=lambda name: name.rpartition("-")[2], default=None)
    return f" The newest copy beside it is {newest}, made before an upgrade." if newest else ""


def _has_no_inodes(folder: Path) -> bool:
    """SQLite needs new files beside the database and calls their lack the same as a missing folder."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_files > 0 and disk.f_favail == 0  # a file system without a table of inodes counts none
