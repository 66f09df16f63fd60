"""The demo itself: a synthetic camera, the real daemon as a process of its own, and the ledger beside the truth.

Nothing here is wired into the daemon: the demo starts, observes, queries and stops it as any user would.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from inspectd.config import load
from inspectd.demo.camera import Shot, run_camera, shots
from inspectd.demo.report import DemoReport, write_sheet
from inspectd.demo.site import WATCH, lay_out_demo
from inspectd.errors import InspectdError
from inspectd.ledger.database import open_reader
from inspectd.ledger.read.filters import Filter
from inspectd.ledger.read.search import Follower, Row, results
from inspectd.rehearsal.daemon import DaemonProcess, serving
from inspectd.rehearsal.site import RehearsalSite

POLL = 0.1  # seconds between two looks at the ledger
PATIENCE = 60.0  # seconds without a new outcome before the demo stops waiting


class DemoScreen(Protocol):
    """Shows the demo to people."""

    def say(self, sentence: str) -> None:
        """Shows what happens now."""

    def show(self, shot: Shot, row: Row, done: int, total: int) -> None:
        """Shows an outcome that has just appeared in the ledger, the `done`-th of `total`."""


def run_demo(root: Path, pictures: int, seed: int, screen: DemoScreen) -> DemoReport:
    """Lays out `root`, runs the daemon in it, lets the camera work, and compares the ledger with the truth.

    An interrupt (KeyboardInterrupt) at any moment stops the daemon in good order; what it recorded stays.

    Raises:
        InspectdError: the folder cannot be used, or the daemon does not start or dies.
    """
    site = lay_out_demo(root)
    taken = shots(pictures, seed)
    screen.say("Starting the daemon, which loads TensorFlow and the model …")
    with serving(site, tries=1) as daemon:
        screen.say(f"The daemon is ready. The camera drops {len(taken)} files into {site.incoming}.")
        seconds = _follow(site, daemon, taken, screen)
        screen.say("Stopping the daemon …")
    screen.say("The daemon has stopped.")
    rows = tuple(results(open_reader(load(site.config).database), Filter(watch=WATCH)))
    report = DemoReport(site, tuple(taken), rows, seconds)
    write_sheet(report)
    return report


def _follow(site: RehearsalSite, daemon: DaemonProcess, taken: Sequence[Shot], screen: DemoScreen) -> float:
    """Lets the camera work and shows every outcome as it comes; returns the seconds until the last one."""
    follower = Follower(open_reader(load(site.config).database), Filter(watch=WATCH))
    awaited = {shot.name: shot for shot in taken}
    stop = threading.Event()
    started = last = time.monotonic()
    with ThreadPoolExecutor(1) as thread:
        camera = thread.submit(run_camera, taken, site.incoming, site.aside, stop)
        try:
            while awaited and (not camera.done() or time.monotonic() - last < PATIENCE):
                for row in follower.poll():
                    if shot := awaited.pop(row.path, None):
                        last = time.monotonic()
                        screen.show(shot, row, len(taken) - len(awaited), len(taken))
                daemon.tend(time.monotonic())
                if camera.done() and (error := camera.exception()):
                    raise InspectdError(f"the camera cannot write into {site.root}: {error}") from error
                time.sleep(POLL)
        finally:
            stop.set()
    return last - started
