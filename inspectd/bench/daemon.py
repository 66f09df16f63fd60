"""The real daemon, from files on disk to committed verdicts: a queue worked off, and single images when idle."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, func, select

from inspectd.bench.site import WATCH, Stock
from inspectd.config import Config
from inspectd.demo.place import Place
from inspectd.errors import InspectdError
from inspectd.ledger.database import open_reader
from inspectd.ledger.schema import State, events, images
from inspectd.simulate.album import Album
from inspectd.simulate.service import Service

PATIENCE = 900.0  # seconds for one run of `inspectd run --once`
READY_PATIENCE = 300.0
VERDICT_PATIENCE = 60.0
LOOK = 0.002  # seconds between two looks at the ledger, which cost some 0.1 ms each
POLL = 0.02
REST = 0.1  # seconds between two single images, in which the daemon falls idle


def run_once(place: Place, config: Config, stock: Stock) -> tuple[float, float]:
    """`inspectd run --once` on the files of the stock.

    Returns:
        Seconds from the start of the program until it was ready, and images a second from then to the last verdict, by
        the ledger's times: when the worker is ready it takes its first images.

    Raises:
        InspectdError: it fails, or an image has no verdict.
    """
    names = stock.move(place.incoming)
    folder = names[0].partition("/")[0]
    service = Service(place)
    started = time.time()
    try:
        service.run_once(PATIENCE)
    finally:
        service.close()
    with open_reader(config.database).connect() as ledger:
        done = images.c.path.startswith(f"{folder}/"), images.c.state == State.DONE
        count, last = ledger.execute(select(func.count(), func.max(images.c.finished_at)).where(*done)).one()
        ready = ledger.scalar(select(func.max(events.c.at)).where(events.c.kind == "ready"))
    if count < len(names):
        raise InspectdError(f"only {count} of {len(names)} images were judged; give --images that are all whole.")
    return _seconds(ready) - started, count / (_seconds(last) - _seconds(ready))


class Idle:
    """A daemon that has nothing to do until `judge` gives it one image."""

    def __init__(self, place: Place, config: Config, album: Album) -> None:
        self._service = Service(place)
        self._incoming: Path = place.incoming
        self._ledger: Engine = open_reader(config.database)
        self._album = album
        self._number = 0

    def start(self) -> None:
        """Until it is ready, and its first image is behind it.

        Raises:
            InspectdError: it does not get so far.
        """
        self._wait(lambda: self._service.readies > 0, POLL, READY_PATIENCE, "the daemon is not ready")
        self.judge()

    def judge(self) -> float:
        """Seconds from the closing of one image's file until its verdict can be read in the ledger.

        Raises:
            InspectdError: there is none for a long time.
        """
        rested = time.monotonic() + REST
        self._wait(lambda: time.monotonic() > rested, POLL, VERDICT_PATIENCE, "the daemon does not rest")
        suffix, data = self._album.picture(self._number)
        name = f"single-{self._number:05d}{suffix}"
        self._number += 1
        done = select(images.c.id).where(images.c.watch == WATCH, images.c.path == name, images.c.state == State.DONE)
        with self._ledger.connect() as ledger:

            def is_judged() -> bool:
                ledger.rollback()  # each look sees what was committed since the last
                return ledger.scalar(done) is not None

            (self._incoming / name).write_bytes(data)
            closed = time.perf_counter()
            self._wait(is_judged, LOOK, VERDICT_PATIENCE, f"{name} has no verdict")
            return time.perf_counter() - closed

    def stop(self) -> None:
        """End it in good order."""
        self._service.stop()

    def close(self) -> None:
        """Kill what still runs of it."""
        self._service.close()

    def _wait(self, over: Callable[[], bool], every: float, patience: float, what: str) -> None:
        """Hear every notice meanwhile: a daemon that nobody hears waits at each."""
        until = time.monotonic() + patience
        while not over():
            now = time.monotonic()
            if now > until:
                raise InspectdError(f"{what} after {patience:.0f} s.")
            self._service.tend(now)
            time.sleep(every)


@contextmanager
def idle_daemon(place: Place, config: Config, album: Album) -> Iterator[Idle]:
    """`inspectd run` on a site without images, ready; stopped at the end."""
    idle = Idle(place, config, album)
    try:
        idle.start()
        yield idle
        idle.stop()
    finally:
        idle.close()


def _seconds(utc: str) -> float:
    """A time of the ledger as seconds since the epoch."""
    return datetime.fromisoformat(utc).timestamp()
