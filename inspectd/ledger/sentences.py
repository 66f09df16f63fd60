"""What SQLite refuses, as a sentence for the person who can put it right. What has none here is a fault of the program.

Nothing here opens a file or knows a table.
"""

import sqlite3

from inspectd.errors import LedgerDamaged, LedgerError, LedgerUnavailable

_SENTENCES = {
    sqlite3.SQLITE_NOTADB: "is not an inspectd database, or its beginning is damaged: SQLite cannot read it. "
    "Set `database:` to another file, or keep this one and restore a copy (docs/database.md).",
    sqlite3.SQLITE_CORRUPT: "is damaged. Stop inspectd, keep the file, and put the newest good copy "
    "in its place (docs/database.md, Restoring).",
    sqlite3.SQLITE_READONLY: "cannot be written by this user. Group access to its folder (mode 2770) is needed.",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened. Check that its folder exists and that this user may enter it.",
    sqlite3.SQLITE_PERM: "cannot be opened by this user. Group access to it and its folder (mode 2770) is needed.",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full. Free some space; nothing that was committed is lost.",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error. Check the disk and the system's log.",
    sqlite3.SQLITE_BUSY: "is locked by another program. Close the shell or tool that holds a transaction open on it.",
}
# What an operator puts right while the daemon waits; all others need a person before anything may go on.
_PASSING = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY}
# The file itself is no database, or is one no more: nothing may be written to it, and no restart helps.
_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def code_of(error: BaseException | None) -> int:
    """SQLite's primary code of an error; 0 where it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def explained(code: int, subject: str) -> LedgerError | None:
    """The error with its sentence about a file; None for what is a bug."""
    if code not in _SENTENCES:
        return None
    kind = LedgerUnavailable if code in _PASSING else LedgerDamaged if code in _DAMAGED else LedgerError
    return kind(f"{subject} {_SENTENCES[code]}")
