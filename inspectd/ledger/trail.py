"""The audit trail: what happened, as a row of `events` and as a line of the log with the same kind.

The code that writes a row logs its line too, so that no row is without its line. The fields of a line are for programs
(`--log-format json`); the row has the sentence only.
"""

import logging

from sqlalchemy import Connection, func, insert, select

from inspectd.clock import utc_now
from inspectd.ledger.schema import events

LEASE_EXPIRED = "lease-expired"
START = "start"
BRIGHTNESS = "brightness"
_last_start = select(func.max(events.c.id)).where(events.c.kind == START).scalar_subquery()
SINCE_START = events.c.id > func.coalesce(_last_start, 0)  # rows since the daemon was last started
_log = logging.getLogger("inspectd.events")


def write(connection: Connection, kind: str, detail: str) -> None:
    """Add a row, in the transaction of what happened. Call `say` with the same values after the commit."""
    connection.execute(insert(events).values(at=utc_now(), kind=kind, detail=detail))


def say(kind: str, detail: str, level: int = logging.INFO, **fields: object) -> None:
    """Log the line that belongs to a row."""
    _log.log(level, "%s", detail, extra={"event": kind, "fields": fields})


def brightness(watch: str, model: str, sentence: str) -> str:
    """The detail of a `BRIGHTNESS` row: what is wrong with the images of a watch for the model (`name@hash`)."""
    return f"{watch} by {model}: {sentence}"


def expired(count: int) -> str:
    """The detail of a `LEASE_EXPIRED` row."""
    return f"{count} leases expired: their worker gave no sign of life; the images are queued again"


def expired_count(detail: str) -> int:
    """How many leases expired, from the detail of a `LEASE_EXPIRED` row."""
    return int(detail.partition(" ")[0])
