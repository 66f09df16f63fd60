"""Claims: a worker takes a batch, keeps it alive, or gives it back.

A claim is a lease: a row in state `claimed` with its owner, its attempt and a deadline on the boot clock. A worker
whose owner, attempt or deadline no longer matches can change nothing. The wall clock decides nothing here. No image is
lost: a claimed row goes back to the queue, fails because it crashed three workers, or is deleted because a newer row of
the same path stands for the file's present content.
"""

import logging
from collections.abc import Iterable, Sequence
from itertools import count, takewhile, zip_longest
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, exists, select, update

from inspectd.clock import Clock, utc_now
from inspectd.domain import Stat
from inspectd.ledger import trail
from inspectd.ledger.records import Claim
from inspectd.ledger.schema import State, images
from inspectd.ledger.transactions import (
    FAILED,
    IS_CLAIMED,
    IS_PENDING,
    AnyRow,
    Transactions,
    chunks,
    is_claimed,
    is_open,
)

DEATHS = 3  # of workers that held a single image, after which the image fails
FREE: dict[str, Any] = {"lease_owner": None, "lease_boot": None, "lease_until": None}

_other = images.alias()
_same_path = and_(_other.c.watch == images.c.watch, _other.c.path == images.c.path)
_claimed_twin = exists().where(_same_path, is_claimed(_other))
_newer_row = exists().where(_same_path, is_open(_other))
_ours = images.c.lease_owner == bindparam("owner")
_alive = and_(images.c.lease_boot == bindparam("boot"), images.c.lease_until > bindparam("now"))

_LEASES = select(images.c.alone, images.c.deaths, images.c.id, _ours.label("ours"), _alive.label("alive")).where(
    IS_CLAIMED
)
_WAITING = (
    select(images.c.id, images.c.watch, images.c.alone)
    .where(images.c.state == State.QUEUED, images.c.watch == bindparam("of"), IS_PENDING, ~_claimed_twin)
    .order_by(images.c.id)
    .limit(bindparam("most"))
)
_TAKE = (
    update(images)
    .where(images.c.id.in_(bindparam("ids", expanding=True)), images.c.state == State.QUEUED)
    .values(
        state=State.CLAIMED,
        attempt=images.c.attempt + 1,
        lease_owner=bindparam("owner"),
        lease_boot=bindparam("boot"),
        lease_until=bindparam("until"),
    )
    .returning(images)
)
_HELD = (
    select(images.c.id, images.c.attempt, images.c.watch, images.c.path)
    .where(images.c.id.in_(bindparam("ids", expanding=True)), IS_CLAIMED, _ours, _alive)
    .with_for_update()
)
_RENEW = update(images).where(IS_CLAIMED, _ours, _alive).values(lease_until=bindparam("until"))


class Claims:
    """How a worker takes images and keeps them, and how the supervisor puts back those of a worker that ended."""

    def __init__(self, ledger: Transactions) -> None:
        self._ledger = ledger
        self._turns = count(1)
        self._served: dict[str, int] = {}  # the turn in which each watch last got a claim

    def take(self, owner: str, watches: Sequence[str], limit: int, lease: float) -> list[Claim] | None:
        """Claim up to `limit` queued images of these watches for `lease` seconds.

        Watches take turns, the one served longest ago first; within a watch the oldest image comes first. An image
        waits while another row of its path is claimed. An `alone` image is claimed without others, and only by an
        owner that holds nothing. Expired leases go back to the queue first, in the same transaction, which also adds
        them to the audit trail.

        Returns:
            The claims; None if the next image must be claimed alone and the owner still holds others, or if the owner
            already holds such an image.
        """
        expired = 0
        with self._ledger.writing_without_fsync() as connection:  # a power cut ends the boot, and with it every claim
            at = _at(owner, self._ledger.clock)
            leases = connection.execute(_LEASES, at).all()
            if not all(row.alive for row in leases):
                expired = _put_back(connection, ~_alive, at, alone=True)
                trail.write(connection, trail.LEASE_EXPIRED, trail.expired(expired))
            held = [row.alone for row in leases if row.ours and row.alive]
            chosen = None if any(held) else self._choose(connection, watches, limit, bool(held))
            claimed: dict[int, Claim] = {}
            for chunk in chunks(row.id for row in chosen or ()):
                taken = connection.execute(_TAKE, at | {"ids": chunk, "until": at["now"] + lease})
                claimed |= {row.id: to_claim(row) for row in taken}
        if expired:
            trail.say(trail.LEASE_EXPIRED, trail.expired(expired), logging.WARNING, count=expired)
        if chosen is None:
            return None
        for row in chosen:
            self._served[row.watch] = next(self._turns)
        return [claimed[row.id] for row in chosen if row.id in claimed]

    def _choose(self, connection: Connection, watches: Sequence[str], limit: int, holding: bool) -> list[AnyRow] | None:
        turns = sorted(watches, key=lambda watch: self._served.get(watch, 0))
        oldest: list[Sequence[AnyRow]] = [
            connection.execute(_WAITING, {"of": watch, "most": limit}).all() for watch in turns
        ]
        order = [row for rank in zip_longest(*oldest) for row in rank if row is not None]
        if order and order[0].alone:
            return None if holding else order[:1]
        return list(takewhile(lambda row: not row.alone, order[:limit]))

    def renew(self, owner: str, lease: float) -> int:
        """Extend the owner's unexpired leases to `lease` seconds from now; returns how many."""
        with self._ledger.writing_without_fsync() as connection:
            at = _at(owner, self._ledger.clock)
            return connection.execute(_RENEW, at | {"until": at["now"] + lease}).rowcount

    def release(self, owner: str, *, died: bool) -> int:
        """Put back everything that the owner holds; returns how many rows it held.

        Args:
            died: The worker died by its own fault. Each of its images will be claimed alone. If it held a single image,
                the death counts against that image, which fails after the third one.
        """
        with self._ledger.writing() as connection:
            at = _at(owner, self._ledger.clock)
            held = [row for row in connection.execute(_LEASES, at) if row.ours]
            if died and len(held) == 1:
                _blame(connection, held[0].id, held[0].deaths + 1)
            _put_back(connection, _ours, at, alone=died)
        return len(held)

    def release_watches(self, watches: Sequence[str]) -> int:
        """Put back every claim on these watches; returns how many. Only when no worker is left: at the daemon's start.

        The reason for which those workers ended is unknown: no death is counted, but each image is claimed alone.
        """
        with self._ledger.writing() as connection:
            return sum(_put_back(connection, images.c.watch.in_(chunk), {}, alone=True) for chunk in chunks(watches))


def held_images(connection: Connection, owner: str, clock: Clock, claims: Iterable[Claim]) -> set[int]:
    """The image ids of those claims that still hold their rows. The rows stay locked until the transaction ends."""
    held = set()
    for chunk in chunks(claims):
        ours = {claim.image_id: (claim.attempt, claim.watch, claim.path) for claim in chunk}
        rows = connection.execute(_HELD, _at(owner, clock) | {"ids": list(ours)})
        held |= {row.id for row in rows if ours[row.id] == (row.attempt, row.watch, row.path)}
    return held


def _at(owner: str, clock: Clock) -> dict[str, Any]:
    """The owner that asks, and the time. Read under the lock, which may have taken seconds to get."""
    return {"owner": owner, "boot": clock.boot, "now": clock.now()}


def to_claim(row: AnyRow) -> Claim:
    """The claim on a row of `images`."""
    return Claim(
        image_id=row.id,
        attempt=row.attempt,
        watch=row.watch,
        path=row.path,
        stat=Stat(row.size, row.mtime_ns, row.ctime_ns),
        seen_at=row.seen_at,
        part=row.part,
        fields=row.fields,
        sha256=row.sha256,
        reason=row.reason,
        alone=row.alone,
        closed=row.closed,
    )


def _put_back(connection: Connection, which: ColumnElement[bool], values: dict[str, Any], *, alone: bool) -> int:
    """Queue again the claimed rows that meet a condition; with `alone` they are marked to be claimed without others."""
    held = and_(IS_CLAIMED, which)
    superseded = connection.execute(delete(images).where(held, _newer_row), values).rowcount
    mark = {"alone": True} if alone else {}
    requeue = update(images).where(held).values(state=State.QUEUED, **FREE, **mark)
    return superseded + connection.execute(requeue, values).rowcount


def delete_superseded(connection: Connection, image_ids: Iterable[int]) -> None:
    """Delete these claimed rows if their path has an open row, which stands for the file's present content."""
    for chunk in chunks(image_ids):
        connection.execute(delete(images).where(images.c.id.in_(chunk), IS_CLAIMED, _newer_row))


def _blame(connection: Connection, image_id: int, deaths: int) -> None:
    values: dict[str, Any] = {"deaths": deaths}
    if deaths >= DEATHS:
        reason = f"crashes the worker: {deaths} workers died while they held nothing but this image"
        values |= {"reason": reason, "finished_at": utc_now(), **FAILED, **FREE}
    connection.execute(update(images).where(images.c.id == image_id).values(**values))
