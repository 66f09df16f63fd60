"""`inspectd run`: one loop that ingests, keeps a worker in service, and answers signals and systemd.

The loop never waits for a worker, a model or a disk longer than for a lock of the ledger.
It never imports TensorFlow.
"""

import logging
import time
from pathlib import Path

from inspectd import __version__, config
from inspectd.errors import ConfigError, InspectdError, LedgerDamaged, LedgerUnavailable
from inspectd.ingest.intake import Intake
from inspectd.ledger import trail
from inspectd.ledger.database import open_writer, upgrade
from inspectd.ledger.write.queue import Queue
from inspectd.ledger.write.retention import RetentionLedger
from inspectd.service import systemd
from inspectd.service.activation import Activations
from inspectd.service.left_out import Published, left_out_file
from inspectd.service.locks import DaemonLocks
from inspectd.service.metrics.meter import Meter
from inspectd.service.retention.thread import RetentionThread
from inspectd.service.wake_up import WakeUp
from inspectd.worker.channel import Ready
from inspectd.worker.supervisor import Supervisor

log = logging.getLogger(__name__)

STATUS_EVERY = 5.0  # seconds
STOP_PATIENCE = 30.0  # seconds for the batches to finish; then their images go back to the queue
LAST_PATIENCE = 2.0  # seconds for the end of a worker that has finished
TROUBLE = 1.0  # seconds before the ledger is tried again
RESTART_ONLY = ("database", "output")  # keys that cannot change while running


class Daemon:
    """The process `inspectd run`."""

    def __init__(self, path: Path, *, once: bool = False) -> None:
        """Reads the configuration; changes nothing yet.

        Raises:
            ConfigError: it has mistakes; the error lists all of them.
        """
        self._path = path
        self._once = once
        self._config = config.load(path)
        self._locks = DaemonLocks(self._config)
        self._left_out = Published(left_out_file(self._config))
        self._troubled = False
        self._announced: tuple[Ready, str] | None = None
        self._logged: Ready | None = None
        self._status_at = 0.0
        self._said = ""  # the trouble in the last status
        self._queue: Queue
        self._intake: Intake
        self._supervisor: Supervisor

    def run(self) -> int:
        """Serves until told to stop, or with ``once`` until every file that is there has an outcome.

        Returns:
            The exit code, 0.

        Raises:
            ConfigError: the configuration or its models cannot be served (exit 78).
            LedgerDamaged: the ledger is damaged; nothing more is written into it (exit 78).
            InspectdError: another daemon serves the same ledger or watch.
        """
        self._wake_up = WakeUp()
        self._wake_up.catch_signals()
        if self._once and (missing := [watch for watch in self._config.watch if not watch.path.is_dir()]):
            raise ConfigError(f"the folder of watch {missing[0].name}, {missing[0].path}, is not there.")
        if not self._open():
            return 0
        try:
            self._loop()
        except LedgerDamaged:
            self._supervisor.abandon()
            raise
        except BaseException:
            self._close()
            raise
        self._close()
        return 0

    def _open(self) -> bool:
        """Waits until the ledger can be opened, then starts ingest and the first worker.

        Returns:
            False if told to stop before that.
        """
        while not self._wake_up.stop:
            systemd.alive()
            try:
                self._open_ledger()
            except LedgerUnavailable as error:
                self._trouble(str(error))
                self._wake_up.wait(time.monotonic() + TROUBLE, ())
            else:
                break
        else:
            return False
        self._supervisor = Supervisor(self._config, self._queue, may_fall_back=not self._once)
        self._activations = Activations(self._supervisor, self._queue)
        self._intake = self._new_intake()
        self._retention = self._new_retention()
        return True

    def _open_ledger(self) -> None:
        """Takes the locks, upgrades the ledger and returns the images of an earlier run to the queue."""
        self._locks.take()
        upgrade(self._config.database)
        self._locks.ledger_opened()
        engine = open_writer(self._config.database)
        self._queue = Queue(engine)
        self._meter = Meter(engine, self._queue)
        self._queue.claims.release_watches([watch.name for watch in self._config.watch])
        self._queue.event(trail.START, f"inspectd {__version__}, {self._path}")
        self._expiry = RetentionLedger(open_writer(self._config.database, foreign_keys=False))

    def _new_retention(self) -> RetentionThread:
        retention = RetentionThread(self._config, self._expiry)
        if not self._once:
            retention.start()
        return retention

    def _new_intake(self) -> Intake:
        for remark in config.remarks(self._config):
            log.warning("%s", remark)
        watches, limits, queue = self._config.watch, self._config.limits, self._queue
        intake = Intake(
            watches,
            limits,
            queue,
            self._wake_up.wake,
            observe=not self._once,
            on_enqueued=lambda _: self._supervisor.wake(),
        )
        intake.start()
        return intake

    def _loop(self) -> None:
        while not self._wake_up.stop:
            now = time.monotonic()
            systemd.alive()
            try:
                if self._wake_up.reload:
                    self._wake_up.reload = False
                    self._prove_new_configuration(now)
                due = self._meter.tick(now, self._config, self._intake, self._supervisor)
                due = min(due, self._supervisor.tick(now), self._intake.tick(now), self._activations.tick(now))
                self._adopt_proven_configuration()
                if self._retention.damage:
                    raise self._retention.damage
                self._report(now)
                if self._once and self._finished():
                    return
                if self._troubled:  # a loop without trouble may have had nothing to write
                    self._queue.event("ledger", "the ledger takes writes again: going on", logging.WARNING)
            except LedgerUnavailable as error:
                self._trouble(str(error))
                due = time.monotonic() + TROUBLE
            else:
                self._trouble(None)
            self._wake_up.wait(due, self._supervisor.lines)

    def _prove_new_configuration(self, now: float) -> None:
        """Reads the configuration again and hands it to a new worker; the old one serves until that is ready."""
        systemd.reloading()
        self._announced = None  # systemd waits for READY, whether the reload succeeds or not
        try:
            new = config.load(self._path)
            fixed = [key for key in RESTART_ONLY if getattr(new, key) != getattr(self._config, key)]
            if fixed:
                raise ConfigError(f"{' and '.join(fixed)} cannot change while running: restart needed.")
            self._locks.take_watches(new.watch)
        except InspectdError as error:
            self._supervisor.refuse(str(error))
        else:
            self._supervisor.replace(new, now)

    def _adopt_proven_configuration(self) -> None:
        """Uses a newer configuration for ingest and retention too, once the worker in service runs it."""
        new = self._supervisor.config
        if new is self._config:
            return
        self._intake.stop()
        self._config = new
        self._intake = self._new_intake()
        self._retention.stop()
        self._retention = self._new_retention()
        self._queue.event("reload", f"configuration reloaded from {self._path}")

    def _finished(self) -> bool:
        """Whether every file in the watches has its outcome, which is the end of a run with `--once`.

        Raises:
            InspectdError: a watch's folder disappeared meanwhile, perhaps with files in it.
        """
        if not (self._supervisor.ready and self._intake.quiet()):
            return False
        missing = self._intake.missing
        names = [watch.name for watch in self._config.watch]
        counts = self._queue.open_count(names)
        there = self._queue.open_count([watch.name for watch in self._config.watch if watch.name not in missing])
        if counts.queued + counts.claimed + there.settling:
            return False
        if self._queue.redraws.count(names) or self._queue.reinspections.count():
            return False
        if self._supervisor.is_putting_away:
            return False
        if missing:
            raise InspectdError(f"the folder of watch {missing[0]} disappeared; its files wait for the next run.")
        return True

    def _report(self, now: float) -> None:
        """Reports READY when the models are loaded, then the state every few seconds, to systemd and, once, to the
        log."""
        ready = self._supervisor.ready
        refused = self._supervisor.refusals
        if ready and not self._supervisor.candidate and (ready, refused) != self._announced:
            self._announced = (ready, refused)
            systemd.ready(refused or "Ready")
        if ready and ready is not self._logged:
            self._queue.event("ready", self._standing(), **vars(ready))
            self._logged = ready  # only now: if the ledger refused, it is recorded later
        trouble = self._supervisor.trouble
        problem = f"no new work: {trouble}; " if trouble else ""
        problem += f"{self._supervisor.held_up}; " if self._supervisor.held_up else ""
        if now >= self._status_at or problem != self._said:
            self._status_at = now + STATUS_EVERY
            self._said = problem
            candidate = self._supervisor.candidate
            self._locks.hold(self._config.watch, candidate.config.watch if candidate else ())
            self._left_out.publish(self._intake.left_out)
            counts = self._queue.open_count([watch.name for watch in self._config.watch])
            work = f"{counts.queued} queued, {counts.claimed} in hand, {counts.stalled} stalled"
            problem += f"{refused}; " if refused else ""
            problem += f"retention: {self._retention.problem}; " if self._retention.problem else ""
            systemd.status(f"{problem}{self._standing()}; {work}; {self._supervisor.finished} finished since the start")

    def _standing(self) -> str:
        """Device, models and watches in one line."""
        ready = self._supervisor.ready
        watches = ", ".join(f"{name} ({backend})" for name, backend in self._intake.backends.items())
        return f"{ready.in_words if ready else 'no model loaded yet'}; watching {watches}"

    def _trouble(self, problem: str | None) -> None:
        """Reports once that the ledger takes no writes; the first event that it takes again reports the end of that."""
        if problem:
            systemd.status(f"no new work: {problem}")
            self._status_at = 0.0
        if problem and not self._troubled:
            log.error("the ledger takes no writes, trying on: %s", problem)
        self._troubled = bool(problem)

    def _close(self) -> None:
        """Lets the batches finish, then releases everything."""
        systemd.stopping()
        self._left_out.publish(self._intake.left_out)
        self._intake.stop()
        self._retention.stop()
        self._supervisor.stop()
        patience = time.monotonic() + STOP_PATIENCE
        while self._supervisor.workers and time.monotonic() < patience:
            systemd.alive()
            try:
                self._wake_up.wait(min(self._supervisor.tick(time.monotonic()), patience), self._supervisor.lines)
                if not self._supervisor.lines:
                    patience = min(patience, time.monotonic() + LAST_PATIENCE)
            except LedgerUnavailable as error:
                self._trouble(str(error))
                if not self._supervisor.lines:  # the workers are gone; the next start returns their images
                    break
                time.sleep(TROUBLE)
        try:
            self._supervisor.kill()
            self._queue.event("stop", f"{self._supervisor.finished} images finished")
        except LedgerUnavailable as error:
            log.error("stopped, and the ledger cannot say so: %s", error)
