"""Checks the ledger: whether it is whole and current, which process serves it, and whether its times are plausible."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from inspectd.errors import LedgerError
from inspectd.ledger.backup import RESTORE
from inspectd.ledger.read.health import ledger_health
from inspectd.ledger.schema import REVISION
from inspectd.service.doctor.clock import after_newest
from inspectd.service.doctor.finding import Diagnosis, Site, fault, is_folder, ok, standing, warn
from inspectd.sizes import size_text

WAL_MOST = 64_000_000  # sixteen times the size at which SQLite writes the log back


def check_ledger(site: Site) -> Iterator[Diagnosis]:
    """Checks schema, damage, the write-ahead log, the last start, and whether the newest row lies in the future."""
    file = site.config.database_file
    yield ok("daemon", str(file), f"served by process {site.daemon}" if site.daemon else "no daemon serves it now")
    try:
        if not os.path.lexists(file) and is_folder(standing(file.parent)):
            yield ok("ledger", str(file), "not there yet; `inspectd run` creates it")
            return
        found = ledger_health(site.config.database)
    except LedgerError as error:
        yield fault("ledger", str(file), "cannot be used", str(error))
        return
    except OSError as error:
        yield fault("ledger", str(file), f"cannot be looked at: {error.strerror}", "see `folders` above")
        return
    depth = "no damage in a quick check" if found.quick else "too large for a quick check"
    if found.damage:
        yield fault("ledger", str(file), found.damage, f"`inspectd db check` lists all damage; {RESTORE}")
    else:
        yield ok(
            "ledger",
            str(file),
            f"schema {REVISION}, {size_text(found.size)}, {depth}; `inspectd db check` reads all of it",
        )
    yield log_size(f"{file}-wal", found.wal)
    yield ok("ledger", "last start of the daemon", found.started_at or "never")
    yield after_newest(found.newest_at, datetime.now(UTC))


def log_size(subject: str, wal: int) -> Diagnosis:
    """Checks the write-ahead log: if it cannot be written back, it grows until the disk is full."""
    if wal > WAL_MOST:
        who = f"close the program that keeps the ledger open: `fuser -v {subject}`"
        return warn("ledger", subject, f"{size_text(wal)}: a reader keeps SQLite from writing it back", who)
    return ok("ledger", subject, size_text(wal))
