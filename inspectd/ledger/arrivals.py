"""The ingest side of the queue: files come in, wait until they are whole, or vanish.

A path has at most one open row (settling, stalled or queued). A file that is seen again while its row is open is the
same arrival with a newer stat; only a file whose last row is claimed or finished makes a new row.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, insert, select, update

from inspectd.clock import utc_now
from inspectd.ledger.records import Arrival, Stat, Waiting
from inspectd.ledger.schema import State, images
from inspectd.ledger.transactions import CHUNK, IS_OPEN, Found, Transactions, chunks

_STAT = (images.c.size, images.c.mtime_ns, images.c.ctime_ns)
_PUT_OFF = (State.SETTLING, State.STALLED)


class Arrivals(Transactions):
    """What ingest may do to the ledger."""

    def known(self, watch: str, seen: Sequence[tuple[str, Stat]]) -> set[str]:
        """The paths that need no further look: queued, claimed or finished with exactly the stat given."""
        with self._reading() as connection:
            return {path for path, _ in _exact(connection, watch, seen, images.c.state.not_in(_PUT_OFF))}

    def enqueue(self, watch: str, arrivals: Sequence[Arrival]) -> int:
        """Queue whole files, at most 500 in one call (one transaction); returns how many became queued or changed.

        An open row of a path gets the new stat and becomes queued; it keeps the hash and reason of a first look. A
        path whose exact stat is already in the ledger is ignored. Everything else is a new row.
        """
        return self._record(watch, arrivals, State.QUEUED, None)

    def stall(self, watch: str, arrivals: Sequence[Arrival], reason: str) -> int:
        """Record files that do not become whole, as `enqueue` does, so that nobody waits for them in silence."""
        return self._record(watch, arrivals, State.STALLED, reason)

    def unsettled(self, watch: str) -> list[Waiting]:
        """The files that a worker put back and that ingest must see settle again."""
        query = select(images.c.path, images.c.reason).where(images.c.state == State.SETTLING, images.c.watch == watch)
        with self._reading() as connection:
            return [Waiting(path, reason) for path, reason in connection.execute(query.order_by(images.c.id))]

    def vanished(self, watch: str, paths: Iterable[str]) -> int:
        """Close the settling and stalled rows of files that are gone: they end as failures, not in silence."""
        with self._writing() as connection:
            gone = update(images).values(
                state=State.FAILED,
                reason="vanished: the file was removed before it could be judged",
                finished_at=utc_now(),
            )
            return sum(
                connection.execute(
                    gone.where(images.c.watch == watch, images.c.path.in_(chunk), IS_OPEN, images.c.state.in_(_PUT_OFF))
                ).rowcount
                for chunk in chunks(paths)
            )

    def _record(self, watch: str, arrivals: Sequence[Arrival], state: State, reason: str | None) -> int:
        if len(arrivals) > CHUNK:
            raise ValueError(f"{len(arrivals)} arrivals in one transaction; at most {CHUNK} keep the claims quick")
        latest = {arrival.path: arrival for arrival in arrivals}
        with self._writing() as connection:
            opened = _open_rows(connection, watch, latest)
            taken = _exact(connection, watch, [(a.path, a.stat) for a in latest.values()], ~IS_OPEN)
            new, changed = [], []
            for path, arrival in latest.items():
                row, known = opened.get(path), (path, arrival.stat) in taken
                if row is not None:
                    changed += _changes(row, arrival, state, reason, keep_stat=known)
                elif not known:
                    new.append(_new_row(watch, arrival, state, reason))
            if new:
                now = utc_now()
                connection.execute(insert(images), [row | {"seen_at": now} for row in new])
            if changed:
                connection.execute(update(images).where(images.c.id == bindparam("row")), changed)
        return len(new) + len(changed)


def _open_rows(connection: Connection, watch: str, paths: Iterable[str]) -> Mapping[str, Found]:
    query = select(images.c.path, images.c.id, images.c.state, images.c.reason, *_STAT).where(
        images.c.watch == watch, IS_OPEN
    )
    return {
        row.path: row for chunk in chunks(paths) for row in connection.execute(query.where(images.c.path.in_(chunk)))
    }


def _exact(
    connection: Connection, watch: str, seen: Iterable[tuple[str, Stat]], condition: ColumnElement[bool]
) -> set[tuple[str, Stat]]:
    """Those of the pairs (path, stat) that a row of the watch holds exactly and that meets the condition.

    Looked up in the order of ctime, because a file that is overwritten every second has a row for each of its
    contents: within the narrow range of one chunk the index finds only a few of them.
    """
    query = select(images.c.path, *_STAT).where(images.c.watch == watch, condition)
    found: set[tuple[str, Stat]] = set()
    for chunk in chunks(sorted(seen, key=lambda pair: pair[1].ctime_ns)):
        rows = connection.execute(
            query.where(
                images.c.path.in_([path for path, _ in chunk]),
                images.c.ctime_ns.between(chunk[0][1].ctime_ns, chunk[-1][1].ctime_ns),
            )
        )
        found.update((path, Stat(*stat)) for path, *stat in rows)
    return found.intersection(seen)


def _new_row(watch: str, arrival: Arrival, state: State, reason: str | None) -> dict[str, Any]:
    return {
        "watch": watch,
        "path": arrival.path,
        **vars(arrival.stat),
        "part": arrival.part,
        "fields": dict(arrival.fields),
        "state": state,
        "reason": reason,
    }


def _changes(row: Found, arrival: Arrival, state: State, reason: str | None, keep_stat: bool) -> list[Any]:
    """The new values of an open row, or none when it already says so.

    `keep_stat`: a finished row of the path already bears the file's stat (the file was touched, judged and folded while
    this row waited). The row moves on under its old stat; the worker that reads the file folds it.
    """
    held = Stat(row.size, row.mtime_ns, row.ctime_ns)
    stat = held if keep_stat else arrival.stat
    if row.state == state and stat == held and row.reason == (reason or row.reason):
        return []
    if state == State.QUEUED and row.state != State.STALLED:
        reason = row.reason  # of a first look
    return [
        {
            "row": row.id,
            **vars(stat),
            "part": arrival.part,
            "fields": dict(arrival.fields),
            "state": state,
            "reason": reason,
        }
    ]
