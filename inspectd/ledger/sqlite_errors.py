"""SQLite's errors as sentences for the person who can put them right. An error without a sentence is a bug.

The daemon answers three kinds differently: it waits until a person has cleared a `LedgerUnavailable`, it ends at a
`LedgerDamaged`, and it reports every other `LedgerError`. This module opens no database and knows no table.
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
# The daemon waits until an operator has put these right; all others end it.
_PASSING = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY}
# The file is not a database, or no longer one: nothing may be written to it, and no restart helps.
_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def code_of(error: BaseException | None) -> int:
    """SQLite's primary code of an error; 0 for other errors.

    All text in the ledger was written as UTF-8, so other bytes mean a damaged page, which SQLite itself cannot know.
    """
    if isinstance(error, sqlite3.OperationalError) and str(error).startswith("Could not decode to UTF-8"):
        return sqlite3.SQLITE_CORRUPT
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def explained(code: int, path: Path, what: str = "database") -> LedgerError | None:
    """The error with its sentence about the file `path`; None for a code without one."""
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
    """The error for damage that a check has found."""
    return LedgerDamaged(f"The database {path} {_SENTENCES[sqlite3.SQLITE_CORRUPT]}{_copy_beside(path)}")


def _copy_beside(path: Path) -> str:
    """A sentence that names the newest copy left by an upgrade; empty if there is none."""
    newest = None
    with suppress(OSError):
        beside = [each.name for each in path.parent.iterdir() if each.name.startswith(f"{path.name}.before-")]
        whole = [name for name in beside if not name.endswith(".part")]
        newest = max(whole, key=lambda name: name.rpartition("-")[2], default=None)
    return f" The newest copy beside it is {newest}, made before an upgrade." if newest else ""


def _has_no_inodes(folder: Path) -> bool:
    """Whether the disk has no inode left for the files beside the database; SQLite reports a missing folder instead."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_files > 0 and disk.f_favail == 0  # a file system without an inode table reports 0 files
