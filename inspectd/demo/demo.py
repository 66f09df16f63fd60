"""The demo itself: the camera, the real daemon as a process of its own, and a reader of the ledger who knows the truth.

Nothing here is wired into the daemon: it is started, watched, asked and stopped as any user would do it. The demo has
succeeded when every file that was dropped has exactly one outcome in the ledger; how good the verdicts are is counted,
and is the model's business.
"""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from inspectd.config import load
from inspectd.demo.camera import Shot, run_camera, shots
from inspectd.demo.contact import Colour, Tile, contact_sheet
from inspectd.demo.place import WATCH, Place, lay_out
from inspectd.errors import InspectdError
from inspectd.ledger.database import open_reader
from inspectd.ledger.query import Filter, Follower, Row, results

POLL = 0.1  # seconds between two looks at the log or the ledger
START_PATIENCE = 120.0  # seconds for the daemon to become ready
PATIENCE = 60.0  # seconds without any new outcome after which the demo gives up waiting
STOP_PATIENCE = 40.0
READY = " service: ready: "  # in the daemon's log

DEFECT_TILES, OK_TILES = 15, 5
RED, GREEN, AMBER = (226, 84, 84), (87, 178, 108), (240, 180, 60)


class Screen(Protocol):
    """Who watches the demo."""

    def say(self, sentence: str) -> None:
        """What happens now."""

    def show(self, shot: Shot, row: Row, done: int, total: int) -> None:
        """An outcome that has just appeared in the ledger, the `done`-th of `total`."""


@dataclass(frozen=True)
class Report:
    """What became of every file, beside what is true of it.

    Attributes:
        rows: The ledger's rows of the watch.
        seconds: From the first file to the last outcome.
        problems: A sentence for each file without exactly one outcome; the demo has succeeded when there is none.
    """

    place: Place
    taken: tuple[Shot, ...]
    rows: tuple[Row, ...]
    seconds: float
    problems: tuple[str, ...]

    @property
    def judged(self) -> list[tuple[Shot, Row]]:
        """Every shot with its rows, in the camera's order."""
        return [(shot, row) for shot in self.taken for row in self.rows if row.path == shot.name]

    @property
    def counts(self) -> dict[str, Counter[str]]:
        """By the kind of shot, good ones first, how many got which verdict."""
        found: dict[str, Counter[str]] = {}
        for shot, row in sorted(self.judged, key=lambda pair: (("OK", "NG", "broken").index(pair[0].truth), pair[0].kind)):
            found.setdefault(shot.kind, Counter())[row.verdict] += 1
        return found

    @property
    def escapes(self) -> int:
        return sum(shot.truth == "NG" and row.verdict == "ok" for shot, row in self.judged)

    @property
    def overkills(self) -> int:
        return sum(shot.truth == "OK" and row.verdict == "defect" for shot, row in self.judged)


def run_demo(root: Path, pictures: int, seed: int, screen: Screen) -> Report:
    """Lay out `root`, run the daemon in it, let the camera work, and compare the ledger with the truth.

    Raises:
        InspectdError: the folder cannot be used, or the daemon does not start or dies.
        KeyboardInterrupt: the daemon has been stopped, and what it recorded stays.
    """
    place = lay_out(root)
    taken = shots(pictures, seed)
    screen.say("Starting the daemon, which loads TensorFlow and the model …")
    with _daemon(place) as daemon:
        screen.say(f"Ready. The camera drops {len(taken)} files into {place.incoming}.")
        seconds = _follow(place, daemon, taken, screen)
        screen.say("Stopping the daemon …")
    rows = tuple(results(open_reader(load(place.config).database), Filter(watch=WATCH)))
    report = Report(place, tuple(taken), rows, seconds, tuple(audit(taken, rows)))
    write_sheet(report)
    return report


def audit(taken: Sequence[Shot], rows: Sequence[Row]) -> Iterator[str]:
    """A sentence for each file that has not exactly one outcome, and for each outcome of a file nobody dropped."""
    outcomes = Counter(row.path for row in rows if row.verdict != "pending")
    waiting = {row.path: row.reason for row in rows if row.verdict == "pending"}
    for shot in taken:
        if outcomes[shot.name] > 1:
            yield f"{shot.name} has {outcomes[shot.name]} outcomes."
        if shot.name in waiting:
            yield f"{shot.name} still waits ({waiting[shot.name] or 'no reason given'})."
        elif not outcomes[shot.name]:
            yield f"{shot.name} is not in the ledger."
    for path in sorted({row.path for row in rows} - {shot.name for shot in taken}):
        yield f"{path} is in the ledger, but the camera never took it."


@contextmanager
def _daemon(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """`inspectd run` in a process of its own, ready for work; stopped as systemd would stop it.

    In a session of its own it does not hear a Ctrl-C meant for the demo, which then stops it in good order.
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


def _wait_until_ready(place: Place, daemon: subprocess.Popen[bytes]) -> None:
    patience = time.monotonic() + START_PATIENCE
    while READY not in place.log.read_text(errors="replace"):
        if daemon.poll() is not None:
            raise _ended(place, daemon)
        if time.monotonic() > patience:
            raise InspectdError(f"the daemon is not ready after {START_PATIENCE:.0f} s. See its log, {place.log}.")
        time.sleep(POLL)


def _follow(place: Place, daemon: subprocess.Popen[bytes], taken: Sequence[Shot], screen: Screen) -> float:
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
                        screen.show(shot, row, len(taken) - len(awaited), len(taken))
                        last = time.monotonic()
                if daemon.poll() is not None:
                    raise _ended(place, daemon)
                time.sleep(POLL)
        finally:
            stop.set()
        camera.result()
    return last - started


def _ended(place: Place, daemon: subprocess.Popen[bytes]) -> InspectdError:
    said = place.log.read_text(errors="replace").strip().splitlines()
    return InspectdError(
        f"the daemon ended (exit {daemon.returncode}). Its log, {place.log}, ends with: {said[-1] if said else 'nothing'}"
    )


def write_sheet(report: Report) -> None:
    """The contact sheet of a report: what went wrong first, then every kind of defect, then the closest calls."""
    tiles = []
    for shot, row in _worth_seeing(report.judged):
        picture = cv2.imread(str(report.place.output / str(row.overlay)))
        if picture is not None:
            title, colour = _title(shot, row)
            tiles.append(Tile(_rgb(picture), title, f"{shot.kind}, part {row.part}", colour))
    if tiles:
        note = f"{report.escapes} escapes, {report.overkills} overkills. In order: errors, defects by kind, good surfaces with the highest scores."
        sheet = contact_sheet(f"inspectd demo: {len(tiles)} of {len(report.taken)} files", note, tiles)
        cv2.imwrite(str(report.place.sheet), sheet[:, :, ::-1])


def _worth_seeing(judged: Sequence[tuple[Shot, Row]]) -> list[tuple[Shot, Row]]:
    seen = sorted((pair for pair in judged if pair[1].overlay), key=lambda pair: -(pair[1].score or 0.0))
    wrong = [(shot, row) for shot, row in seen if (shot.truth == "OK") != (row.verdict == "ok")]
    right = [pair for pair in seen if pair not in wrong]
    kinds = sorted({shot.kind for shot, _ in right if shot.truth == "NG"})
    by_kind = [[pair for pair in right if pair[0].kind == kind] for kind in kinds]
    defects = [pair for pair in chain.from_iterable(zip_longest(*by_kind)) if pair]
    good = [pair for pair in right if pair[0].truth == "OK"]
    return [*wrong, *defects][:DEFECT_TILES] + good[:OK_TILES]


def _title(shot: Shot, row: Row) -> tuple[str, Colour]:
    verdict = f"{row.verdict} {row.score:.3f}"
    if (shot.truth == "OK") == (row.verdict == "ok"):
        return verdict, GREEN if shot.truth == "OK" else RED
    return f"{'overkill' if shot.truth == 'OK' else 'escape'}: {verdict}", AMBER


def _rgb(bgr: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(bgr[:, :, ::-1])
