"""The real daemon, from files on disk to committed verdicts: a queue worked off, and single images when idle."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, func, select

from inspectd.bench.site import WATCH, Stock
from inspectd.config import Config
from inspectd.errors import InspectdError
from inspectd.ledger.database import open_reader
from inspectd.ledger.schema import State, events, images
from inspectd.rehearsal.album import Album
from inspectd.rehearsal.daemon import DaemonProcess, serving
from inspectd.rehearsal.site import RehearsalSite

PATIENCE = 900.0  # seconds for one run of `inspectd run --once`
VERDICT_PATIENCE = 60.0
LOOK = 0.002  # seconds between two looks at the ledger, which cost some 0.1 ms each
REST = 0.1  # seconds between two single images, in which the daemon falls idle


def run_once(site: RehearsalSite, config: Config, stock: Stock) -> tuple[float, float]:
    """`inspectd run --once` on the files of the stock.

    Returns:
        Seconds from the start of the program until it was ready, and images a second from then to the last verdict, by
        the ledger's times: when the worker is ready it takes its first images.

    Raises:
        InspectdError: it fails, or an image has no verdict.
    """
    names = stock.move(site.incoming)
    folder = names[0].partition("/")[0]
    daemon = DaemonProcess(site)
    started = time.time()
    try:
        daemon.run_once(PATIENCE)
    finally:
        daemon.close()
    with open_reader(config.database).connect() as ledger:
        done = images.c.path.startswith(f"{folder}/"), images.c.state == State.DONE
        count, last = ledger.execute(select(func.count(), func.max(images.c.finished_at)).where(*done)).one()
        ready = ledger.scalar(select(func.max(events.c.at)).where(events.c.kind == "ready"))
    if count < len(names):
        raise InspectdError(f"only {count} of {len(names)} images were judged; give --images that are all whole.")
    return _seconds(ready) - started, count / (_seconds(last) - _seconds(ready))


class Idle:
    """A daemon that has nothing to do until `judge` gives it one image."""

    def __init__(self, daemon: DaemonProcess, site: RehearsalSite, config: Config, album: Album) -> None:
        self._daemon = daemon
        self._incoming: Path = site.incoming
        self._ledger: Engine = open_reader(config.database)
        self._album = album
        self._number = 0

    def judge(self) -> float:
        """Seconds from the closing of one image's file until its verdict can be read in the ledger.

        Raises:
            InspectdError: there is none for a long time.
        """
        rested = time.monotonic() + REST
        self._daemon.wait(lambda: time.monotonic() > rested, VERDICT_PATIENCE, "the daemon does not rest")
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
            self._daemon.wait(is_judged, VERDICT_PATIENCE, f"{name} has no verdict", every=LOOK)
            return time.perf_counter() - closed


@contextmanager
def idle_daemon(site: RehearsalSite, config: Config, album: Album) -> Iterator[Idle]:
    """`inspectd run` on a site without images, ready and warm; stopped at the end."""
    with serving(site) as daemon:
        idle = Idle(daemon, site, config, album)
        idle.judge()
        yield idle


def _seconds(utc: str) -> float:
    """A time of the ledger as seconds since the epoch."""
    return datetime.fromisoformat(utc).timestamp()
