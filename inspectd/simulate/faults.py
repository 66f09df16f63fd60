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

from inspectd.errors import InspectdError
from inspectd.rehearsal.acts import Act
from inspectd.rehearsal.daemon import DaemonProcess, is_alive
from inspectd.rehearsal.site import RehearsalSite
from inspectd.simulate.arrivals import burst
from inspectd.simulate.camera import Camera
from inspectd.simulate.mount_namespace import full_disk

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
class FaultTarget:
    """What a fault may lay hands on."""

    site: RehearsalSite
    daemon: DaemonProcess
    camera: Camera
    rng: random.Random


Fault = Callable[[FaultTarget], Act]


def kill_worker(target: FaultTarget) -> Act:
    """SIGKILL of the worker, whatever it has in hand."""
    worker = yield from _find(lambda: target.daemon.worker)
    yield from _kill(target, worker)


def kill_supervisor(target: FaultTarget) -> Act:
    """SIGKILL of the supervisor; it is started again as systemd would."""
    supervisor = yield from _find(lambda: target.daemon.pid)
    yield from _kill(target, supervisor)


def worker_stopped(target: FaultTarget) -> Act:
    """The worker stands still for some seconds, less than a hang, and goes on."""
    with _stopped((yield from _find(lambda: target.daemon.ready_worker))):
        burst(target.camera.scene, SOME)
        yield STOPPED


def worker_hung(target: FaultTarget) -> Act:
    """The worker stands still until the supervisor kills and replaces it."""
    worker = yield from _find(lambda: target.daemon.ready_worker)  # one that warms up may be silent for minutes
    ready = target.daemon.readies
    patience = time.monotonic() + HANG
    with _stopped(worker):
        burst(target.camera.scene, SOME)
        while is_alive(worker):
            if time.monotonic() > patience:
                raise InspectdError(f"a hung worker was not replaced within {HANG:.0f} s.")
            yield POLL
    yield from _recovered(target, ready)


def ledger_locked(target: FaultTarget) -> Act:
    """Another process holds a transaction open on the ledger, for longer than the daemon waits without a word."""
    ledger = sqlite3.connect(target.site.ledger, isolation_level=None, timeout=30)
    try:
        ledger.execute("begin immediate")
        burst(target.camera.scene, SOME)
        yield LOCKED
    finally:
        ledger.close()


def disk_full(target: FaultTarget) -> Act:
    """The disk of the overlays has not a byte left for some seconds."""
    with full_disk(target.site.output):
        burst(target.camera.scene, SOME)
        yield FULL


def root_renamed(target: FaultTarget) -> Act:
    """The watched folder is renamed and made anew, files come into both, and the old ones are brought back later."""
    camera, scene, incoming = target.camera, target.camera.scene, target.site.incoming
    away = incoming.with_name("incoming.away")
    camera.held = True
    patience = time.monotonic() + RECOVERY
    try:
        while camera.arriving:
            _lose_patience(patience)
            yield POLL
        scene.notes.vanish(path for path, _ in scene.notes.expected)
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


def events_lost(target: FaultTarget) -> Act:
    """While the supervisor stands still the kernel's queue of events overflows; then files arrive, told by no event."""
    yield from _find(lambda: target.daemon.ready_worker)
    supervisor = yield from _find(lambda: target.daemon.pid)
    with _stopped(supervisor):
        here, there = target.site.incoming / "noise.tmp", target.site.incoming / "more-noise.tmp"
        here.touch()
        for _ in range(int(QUEUE.read_text()) // 2 + 1):  # a rename is two events
            here.rename(there)
            here, there = there, here
        here.unlink()
        burst(target.camera.scene, SOME)
        yield 1.0


OTHERS: tuple[Fault, ...] = (worker_stopped, ledger_locked, disk_full, root_renamed, events_lost)


def _find(process: Callable[[], int | None]) -> Generator[float, None, int]:
    """Wait until there is such a process, and return its id."""
    patience = time.monotonic() + RECOVERY
    while (pid := process()) is None:
        _lose_patience(patience)
        yield POLL
    return pid


def _kill(target: FaultTarget, pid: int) -> Act:
    ready = target.daemon.readies
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    if target.rng.random() > HASTE:
        yield from _recovered(target, ready)


def _recovered(target: FaultTarget, readies: int) -> Act:
    """Until the daemon has said READY once more."""
    patience = time.monotonic() + RECOVERY
    while target.daemon.readies <= readies:
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
