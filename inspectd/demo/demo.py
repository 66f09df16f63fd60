"""The demo itself: the camera, the real daemon as a process of its own, and a reader of the ledger who knows the truth.

Nothing here is wired into the daemon: it is started, watched, asked and stopped as any user would do it.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from inspectd.config import load
from inspectd.demo.camera import Shot, run_camera, shots
from inspectd.demo.place import WATCH, Place, lay_out
from inspectd.demo.report import Report, write_sheet
from inspectd.errors import InspectdError
from inspectd.ledger.database import open_reader
from inspectd.ledger.read.filters import Filter
from inspectd.ledger.read.search import Follower, Row, results

POLL = 0.1  # seconds between two looks at the log or the ledger
START_PATIENCE = 120.0  # seconds for the daemon to become ready
PATIENCE = 60.0  # seconds without any new outcome after which waiting has no sense
STOP_PATIENCE = 40.0
READY = " events: ready: "  # in the daemon's log

Daemon = subprocess.Popen[bytes]


class Screen(Protocol):
    """Who watches the demo."""

    def say(self, sentence: str) -> None:
        """What happens now."""

    def show(self, shot: Shot, row: Row, done: int, total: int) -> None:
        """An outcome that has just appeared in the ledger, the `done`-th of `total`."""


def run_demo(root: Path, pictures: int, seed: int, screen: Screen) -> Report:
    """Lay out `root`, run the daemon in it, let the camera work, and put the ledger beside the truth.

    An interrupt (KeyboardInterrupt) at any moment stops the daemon in good order; what it recorded stays.

    Raises:
        InspectdError: the folder cannot be used, or the daemon does not start or dies.
    """
    place = lay_out(root)
    taken = shots(pictures, seed)
    screen.say("Starting the daemon, which loads TensorFlow and the model …")
    with _daemon(place) as daemon:
        screen.say(f"The daemon is ready. The camera drops {len(taken)} files into {place.incoming}.")
        seconds = _follow(place, daemon, taken, screen)
        screen.say("Stopping the daemon …")
    screen.say("The daemon has stopped.")
    rows = tuple(results(open_reader(load(place.config).database), Filter(watch=WATCH)))
    report = Report(place, tuple(taken), rows, seconds)
    write_sheet(report)
    return report


@contextmanager
def _daemon(place: Place) -> Iterator[Daemon]:
    """`inspectd run`, ready for work, and stopped at the end as systemd would stop it.

    It has a session of its own, so that Ctrl-C reaches the demo alone, which then stops it.
    """
    with place.log.open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "inspectd", "run", "--config", str(place.config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_until_ready(place, daemon)
        yield daemon
    finally:
        daemon.terminate()
        try:
            daemon.wait(STOP_PATIENCE)
        finally:
            daemon.kill()  # of no effect on one that has ended
    if daemon.returncode:
        raise _ended(place, daemon)


def _wait_until_ready(place: Place, daemon: Daemon) -> None:
    patience = time.monotonic() + START_PATIENCE
    while READY not in place.log.read_text(errors="replace"):
        if daemon.poll() is not None:
            raise _ended(place, daemon)
        if time.monotonic() > patience:
            raise InspectdError(f"the daemon is not ready after {START_PATIENCE:.0f} s. Its log is {place.log}.")
        time.sleep(POLL)


def _follow(place: Place, daemon: Daemon, taken: Sequence[Shot], screen: Screen) -> float:
    """Let the camera work and show every outcome as it comes, until all are there; returns the seconds it took."""
    follower = Follower(open_reader(load(place.config).database), Filter(watch=WATCH))
    awaited = {shot.name: shot for shot in taken}
    stop = threading.Event()
    started = last = time.monotonic()
    with ThreadPoolExecutor(1) as thread:
        camera = thread.submit(run_camera, taken, place.incoming, place.aside, stop)
        try:
            while awaited and (not camera.done() or time.monotonic() - last < PATIENCE):
                for row in follower.poll():
                    if shot := awaited.pop(row.path, None):
                        last = time.monotonic()
                        screen.show(shot, row, len(taken) - len(awaited), len(taken))
                if daemon.poll() is not None:
                    raise _ended(place, daemon)
                if camera.done() and (error := camera.exception()):
                    raise InspectdError(f"the camera cannot write into {place.root}: {error}") from error
                time.sleep(POLL)
        finally:
            stop.set()
    return last - started


def _ended(place: Place, daemon: Daemon) -> InspectdError:
    said = place.log.read_text(errors="replace").strip().splitlines() or ["nothing"]
    return InspectdError(f"the daemon ended (exit {daemon.returncode}). The last line of {place.log} is: {said[-1]}")
