"""The faults: what may happen to a daemon in a factory, each a small function on the real, running process.

A fault is an act: it yields the seconds until it goes on, and ends when the daemon has recovered as far as the fault
itself can see. Whatever it holds meanwhile (a stopped process, a lock, a mount) is let go when it is broken off.
"""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from inspectd.demo.place import Place
from inspectd.errors import InspectdError
from inspectd.simulate.agenda import Act
from inspectd.simulate.arrivals import burst
from inspectd.simulate.camera import Camera
from inspectd.simulate.service import Service, is_alive
from inspectd.simulate.space import full_disk

POLL = 0.05  # seconds between two looks at the daemon
RECOVERY = 120.0  # seconds for it to be ready again
HANG = 90.0  # seconds for its supervisor to find a hung worker; the least patience of the daemon is 30
LOCKED = 12.0  # seconds; the daemon waits 10 for a lock before it speaks of trouble
STOPPED = 5.0
FULL = 5.0
AWAY = 3.0
HASTE = 0.2  # share of the kills after which the next fault does not wait for the recovery
SOME = 20  # files that arrive during a fault, whatever the camera does
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


@dataclass(frozen=True)
class Stage:
    """What a fault may lay hands on."""

    site: Place
    service: Service
    camera: Camera
    rng: random.Random


Fault = Callable[[Stage], Act]


def kill_worker(stage: Stage) -> Act:
    """SIGKILL of the worker, whatever it has in hand."""
    worker = yield from _find(lambda: stage.service.worker)
    yield from _kill(stage, worker)


def kill_supervisor(stage: Stage) -> Act:
    """SIGKILL of the supervisor; it is started again as systemd would."""
    supervisor = yield from _find(lambda: stage.service.pid)
    yield from _kill(stage, supervisor)


def worker_stopped(stage: Stage) -> Act:
    """The worker stands still for some seconds, less than a hang, and goes on."""
    with _stopped((yield from _find(lambda: stage.service.ready_worker))):
        burst(stage.camera.scene, SOME)
        yield STOPPED


def worker_hung(stage: Stage) -> Act:
    """The worker stands still until the supervisor kills and replaces it."""
    worker = yield from _find(lambda: stage.service.ready_worker)  # one that warms up may be silent for minutes
    ready = stage.service.readies
    patience = time.monotonic() + HANG
    with _stopped(worker):
        burst(stage.camera.scene, SOME)
        while is_alive(worker):
            if time.monotonic() > patience:
                raise InspectdError(f"a hung worker was not replaced within {HANG:.0f} s.")
            yield POLL
    yield from _recovered(stage, ready)


def ledger_locked(stage: Stage) -> Act:
    """Another process holds a transaction open on the ledger, for longer than the daemon waits without a word."""
    ledger = sqlite3.connect(stage.site.ledger, isolation_level=None, timeout=30)
    try:
        ledger.execute("begin immediate")
        burst(stage.camera.scene, SOME)
        yield LOCKED
    finally:
        ledger.close()


def disk_full(stage: Stage) -> Act:
    """The disk of the overlays has not a byte left for some seconds."""
    with full_disk(stage.site.output):
        burst(stage.camera.scene, SOME)
        yield FULL


def root_renamed(stage: Stage) -> Act:
    """The watched folder is renamed and made anew, files come into both, and the old ones are brought back later."""
    camera, scene, incoming = stage.camera, stage.camera.scene, stage.site.incoming
    away = incoming.with_name("incoming.away")
    camera.held = True
    patience = time.monotonic() + RECOVERY
    try:
        while camera.arriving:
            _lose_patience(patience)
            yield POLL
        scene.books.vanish(path for path, _ in scene.books.fates)
        incoming.rename(away)
        incoming.mkdir()
        burst(scene, SOME)
        late = [scene.picture() for _ in range(SOME)]
        for content in late:
            (away / content.path).write_bytes(content.data)
        yield AWAY
        for entry in away.iterdir():
            entry.rename(incoming / entry.name)
        away.rmdir()
        scene.whole(*late)
    finally:
        camera.held = False


def events_lost(stage: Stage) -> Act:
    """While the supervisor stands still the kernel's queue of events overflows; then files arrive, told by no event."""
    yield from _find(lambda: stage.service.ready_worker)
    supervisor = yield from _find(lambda: stage.service.pid)
    with _stopped(supervisor):
        here, there = stage.site.incoming / "noise.tmp", stage.site.incoming / "more-noise.tmp"
        here.touch()
        for _ in range(int(QUEUE.read_text()) // 2 + 1):  # a rename is two events
            here.rename(there)
            here, there = there, here
        here.unlink()
        burst(stage.camera.scene, SOME)
        yield 1.0


OTHERS: tuple[Fault, ...] = (worker_stopped, ledger_locked, disk_full, root_renamed, events_lost)


def _find(process: Callable[[], int | None]) -> Generator[float, None, int]:
    """Wait until there is such a process, and return its id."""
    patience = time.monotonic() + RECOVERY
    while (pid := process()) is None:
        _lose_patience(patience)
        yield POLL
    return pid


def _kill(stage: Stage, pid: int) -> Act:
    ready = stage.service.readies
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    if stage.rng.random() > HASTE:
        yield from _recovered(stage, ready)


def _recovered(stage: Stage, readies: int) -> Act:
    """Until the daemon has said READY once more."""
    patience = time.monotonic() + RECOVERY
    while stage.service.readies <= readies:
        _lose_patience(patience)
        yield POLL


def _lose_patience(until: float) -> None:
    if time.monotonic() > until:
        raise InspectdError(f"the daemon did not recover within {RECOVERY:.0f} s of a fault.")


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
