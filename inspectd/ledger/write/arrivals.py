"""Arrivals: the ingest side of the queue. Files come in, wait until they are whole, or vanish.

A path has at most one open row (settling, stalled or queued). A file that is seen again while its row is open updates
that row; a file whose last row is claimed or finished gets a new one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, insert, not_, or_, select, update

from inspectd.clock import utc_now
from inspectd.domain import Stat
from inspectd.ledger.records import VANISHED, Arrival, UnsettledFile
from inspectd.ledger.schema import State, images
from inspectd.ledger.transactions import CHUNK, FAILED, IS_OPEN, IS_PENDING, AnyRow, Transactions, chunks

_STAT = (images.c.size, images.c.mtime_ns, images.c.ctime_ns)
_PUT_OFF = (State.SETTLING, State.STALLED)
_IS_VANISHED = and_(images.c.state == State.FAILED, images.c.reason.startswith(f"{VANISHED}:"))


class Arrivals:
    """What ingest may do to the ledger."""

    def __init__(self, ledger: Transactions) -> None:
        self._ledger = ledger

    def known(self, watch: str, seen: Sequence[tuple[str, Stat]]) -> set[str]:
        """The paths that need no further look: queued, claimed or finished with exactly the given stat.

        A row that failed because its file had vanished does not count: the file is there again.
        """
        answered = not_(or_(images.c.state.in_(_PUT_OFF), _IS_VANISHED))
        with self._ledger.reading() as connection:
            return {path for path, _ in _exact(connection, watch, seen, answered)}

    def without_row(self, watch: str, paths: Iterable[str]) -> set[str]:
        """The given paths that have no row at all."""
        paths = set(paths)
        query = select(images.c.path).where(images.c.watch == watch)
        with self._ledger.reading() as connection:
            for chunk in chunks(paths.copy()):
                paths -= set(connection.scalars(query.where(images.c.path.in_(chunk))))
        return paths

    def enqueue(self, watch: str, arrivals: Sequence[Arrival]) -> int:
        """Queue whole files in one transaction; returns how many rows became queued or changed.

        An open row of a path gets the new stat and becomes queued; it keeps the hash and reason of a first look. A
        path whose exact stat is already in the ledger is ignored. If that row failed because the file had vanished (a
        disk that was away for a while), the row is opened again instead. Every other file gets a new row.

        Raises:
            ValueError: there are more than 500 arrivals.
        """
        return self._record(watch, arrivals, State.QUEUED, None)

    def stall(self, watch: str, arrivals: Sequence[Arrival], reason: str) -> int:
        """Record files that do not become whole, with the reason, in the same way as `enqueue`."""
        return self._record(watch, arrivals, State.STALLED, reason)

    def unsettled(self, watch: str) -> list[UnsettledFile]:
        """The files that a worker put back and those that stalled. Ingest observes them until they settle or vanish."""
        query = select(images.c.path, images.c.reason, images.c.state).where(
            images.c.state.in_(_PUT_OFF), images.c.watch == watch, IS_PENDING
        )
        with self._ledger.reading() as connection:
            return [
                UnsettledFile(path, second_look=state == State.SETTLING and reason is not None)
                for path, reason, state in connection.execute(query.order_by(images.c.id))
            ]

    def close_vanished(self, watch: str, paths: Iterable[str]) -> int:
        """Close the settling and stalled rows of files that are gone, as failures; returns how many."""
        with self._ledger.writing() as connection:
            gone = update(images).values(
                reason=f"{VANISHED}: the file was removed before it could be judged", finished_at=utc_now(), **FAILED
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
        with self._ledger.writing_without_fsync() as connection:  # the next scan finds every file again
            opened = _open_rows(connection, watch, latest)
            seen = [(arrival.path, arrival.stat) for arrival in latest.values()]
            taken = _exact(connection, watch, seen, not_(or_(IS_OPEN, _IS_VANISHED)))
            back = _exact(connection, watch, seen, _IS_VANISHED)
            new, changed, returned, obsolete = [], [], [], []
            for path, arrival in latest.items():
                row, known = opened.get(path), (path, arrival.stat) in taken
                if row is not None:
                    changed += _changes(row, arrival, state, reason, keep_stat=known)
                    obsolete += [back[path, arrival.stat]] if (path, arrival.stat) in back else []
                elif (path, arrival.stat) in back:
                    now_there = {"state": state, "reason": reason, "closed": arrival.closed}
                    returned.append({"row": back[path, arrival.stat], **now_there})
                elif not known:
                    new.append(_new_row(watch, arrival, state, reason))
            if obsolete:  # the file is back, and its open row stands for it
                connection.execute(delete(images).where(images.c.id.in_(obsolete)))
            if new:
                now = utc_now()
                connection.execute(insert(images), [row | {"seen_at": now} for row in new])
            if changed:
                connection.execute(update(images).where(images.c.id == bindparam("row")), changed)
            if returned:
                again = update(images).where(images.c.id == bindparam("row")).values(finished_at=None, verdict=None)
                connection.execute(again, returned)
        return len(new) + len(changed) + len(returned)


def _open_rows(connection: Connection, watch: str, paths: Iterable[str]) -> Mapping[str, AnyRow]:
    query = select(images.c.path, images.c.id, images.c.state, images.c.reason, images.c.closed, *_STAT).where(
        images.c.watch == watch, IS_OPEN
    )
    return {
        row.path: row for chunk in chunks(paths) for row in connection.execute(query.where(images.c.path.in_(chunk)))
    }


def _exact(
    connection: Connection, watch: str, seen: Sequence[tuple[str, Stat]], condition: ColumnElement[bool]
) -> dict[tuple[str, Stat], int]:
    """The pairs (path, stat) that a row of the watch has exactly, if the row meets the condition; with the row's id.

    The lookup goes in the order of ctime. A file that is overwritten every second has a row for each content, and the
    index finds only a few of them in the narrow range of one chunk.
    """
    query = select(images.c.id, images.c.path, *_STAT).where(images.c.watch == watch, condition)
    found: dict[tuple[str, Stat], int] = {}
    for chunk in chunks(sorted(seen, key=lambda pair: pair[1].ctime_ns)):
        rows = connection.execute(
            query.where(
                images.c.path.in_([path for path, _ in chunk]),
                images.c.ctime_ns.between(chunk[0][1].ctime_ns, chunk[-1][1].ctime_ns),
            )
        )
        found |= {(path, Stat(*stat)): id for id, path, *stat in rows}
    return {pair: found[pair] for pair in seen if pair in found}


def _new_row(watch: str, arrival: Arrival, state: State, reason: str | None) -> dict[str, Any]:
    return {"watch": watch, "path": arrival.path} | _values(arrival, arrival.stat, arrival.closed, state, reason)


def _changes(row: AnyRow, arrival: Arrival, state: State, reason: str | None, keep_stat: bool) -> list[Any]:
    """The new values of an open row in a list; an empty list if the row has them already.

    `keep_stat`: a finished row of the path already has the file's stat (the file was touched, judged and folded while
    this row waited). The row moves on with its old stat, and the worker that reads the file folds it.
    """
    held = Stat(row.size, row.mtime_ns, row.ctime_ns)
    stat = held if keep_stat else arrival.stat
    closed = arrival.closed or (row.closed and stat == held)
    if (row.state, held, row.closed) == (state, stat, closed) and row.reason == (reason or row.reason):
        return []
    if state == State.QUEUED and row.state != State.STALLED:
        reason = row.reason  # of a first look
    return [{"row": row.id} | _values(arrival, stat, closed, state, reason)]


def _values(arrival: Arrival, stat: Stat, closed: bool, state: State, reason: str | None) -> dict[str, Any]:
    named = {"part": arrival.part, "fields": dict(arrival.fields)}
    return vars(stat) | named | {"closed": closed, "state": state, "reason": reason}
