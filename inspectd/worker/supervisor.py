"""The supervisor: starts, observes, replaces and stops workers.

It renews a worker's leases only while the worker gives heartbeats, kills a worker that hangs, and returns the images of
a dead worker to the queue. It never imports TensorFlow and never touches an image.
"""

import logging
import os
import signal
from dataclasses import dataclass

from inspectd.config import Config
from inspectd.errors import ConfigError, InspectdError, LedgerDamaged
from inspectd.ledger.write.queue import Queue
from inspectd.worker.binding import Binding, bind, earlier
from inspectd.worker.channel import Ready, Wake
from inspectd.worker.process import LEASE, WorkerProcess, oom_kills

RENEW = LEASE / 4
LOOK = 1.0  # seconds between two looks at the workers; their messages wake the loop at once
LAST_LOOK = 0.05  # ... at a worker that has closed its channel and will be gone in a moment
STUCK_MOST = 2  # workers stuck in the kernel, beside which another worker is started at most
STUCK = "killed, but the kernel keeps it until a disk or a device answers"
START_TRIES = 3  # crashes in warm-up before the first READY, after which the daemon gives up
BACK_OFF_MOST = 60.0  # seconds between two starts of a worker that keeps dying
BACK_OFF_BLAMED = 2.0  # ... over the images it held: these deaths are counted, and good images wait meanwhile


@dataclass(frozen=True)
class Trial:
    """Why a new worker is started beside the one in service.

    Attributes:
        kind: The kind of the event if it fails: `reload` for `reload-refused`.
        subject: What is refused then, for people.
        stays: What remains in force then, as a clause.
    """

    kind: str
    subject: str
    stays: str


RELOAD = Trial("reload", "reload", "the earlier configuration stays in force")


class Supervisor:
    """Keeps one proven worker in service, and starts its successor beside it when configuration or models change."""

    def __init__(self, config: Config, queue: Queue, *, may_fall_back: bool = False) -> None:
        """`may_fall_back`: whether it may start with earlier versions if the current ones cannot be served."""
        self.config = config
        self.binding = bind(config)  # the bundles in service
        self.current: WorkerProcess | None = None
        self.candidate: WorkerProcess | None = None
        self.retiring: list[WorkerProcess] = []
        self._stuck: list[WorkerProcess] = []  # killed, but still in the kernel, with their memory
        self.refused: dict[str, str] = {}  # why the newest reload or activation was refused, by the trial's subject
        self._queue = queue
        self._batch = config.worker.batch
        self._fallback = earlier(self.binding) if may_fall_back else None  # it is tried once
        self._trial = RELOAD  # the candidate's
        self._served = False  # a worker was ready once
        self._crashes = 0  # in a row, without an image judged between them
        self._start_at = 0.0
        self._renew_at = 0.0
        self._finished_before = 0
        self._death: str | None = None  # of the worker in service, until another one is ready
        self._noted = ""  # the trouble that the audit trail knows of
        self._stopping = False

    @property
    def workers(self) -> list[WorkerProcess]:
        return [worker for worker in (self.current, self.candidate, *self.retiring) if worker is not None]

    @property
    def lines(self) -> list[int]:
        """Descriptors that become readable when a worker sends a message."""
        return [worker.channel.fileno() for worker in self.workers if not worker.hung_up]

    @property
    def ready(self) -> Ready | None:
        """The `Ready` of the worker in service; None while there is none."""
        return self.current.ready if self.current else None

    @property
    def trouble(self) -> str | None:
        """Why no image is judged at the moment; None while a worker serves, and before the first worker did."""
        return self.current.trouble if self.current and self.current.ready else self._death

    @property
    def held_up(self) -> str | None:
        """Why source files are not put away at the moment, while images are judged."""
        return self.current.held_up if self.current else None

    @property
    def is_putting_away(self) -> bool:
        """Whether source files are still being put away; False when they wait for a disk."""
        return any(worker.is_putting_away for worker in self.workers)

    @property
    def finished(self) -> int:
        """Images finished by all workers since the supervisor started."""
        return self._finished_before + sum(worker.finished for worker in self.workers)

    def wake(self) -> None:
        """Tells the worker that there is work."""
        if self.current and self.current.ready:
            self.current.channel.send(Wake())

    @property
    def refusals(self) -> str:
        """What was refused, and why, in one line; empty if nothing was."""
        return "; ".join(f"{subject} refused: {why}" for subject, why in self.refused.items())

    def replace(self, config: Config, now: float, trial: Trial = RELOAD, binding: Binding | None = None) -> None:
        """Proves a configuration in a new worker; the worker in service goes on until the new one is ready.

        Args:
            binding: The bundles that judge. Default: what the configured models mean now.
        """
        if self.candidate:  # a newer trial replaces it; the next tick buries it, because the ledger may refuse now
            self.candidate.stop()
            self.retiring.append(self.candidate)
        self.refused.pop(trial.subject, None)
        self._trial = trial
        self.candidate = WorkerProcess(config, binding or bind(config), config.worker.batch, now)

    def refuse(self, why: str, trial: Trial = RELOAD) -> None:
        """Records that a new configuration or version is refused; the present one stays in force."""
        said = "; ".join(why.splitlines())  # systemd's protocol and the log are line by line
        self.refused[trial.subject] = said
        self._queue.event(f"{trial.kind}-refused", f"{trial.subject} refused, {trial.stays}: {said}", logging.WARNING)

    def tick(self, now: float) -> float:
        """Does what is due; returns when to call again (monotonic seconds).

        Raises:
            ConfigError: before the first READY, the configuration or its models cannot be served.
            InspectdError: before the first READY, the worker keeps crashing in warm-up.
            LedgerDamaged: a worker found damage; nothing is written after that.
        """
        self._stuck = [worker for worker in self._stuck if worker.process.poll() is None]
        may_start = not self._stopping and now >= self._start_at and len(self._stuck) < STUCK_MOST
        if self.current is None and may_start:
            self.current = WorkerProcess(self.config, self.binding, self._batch, now)
        for worker in self.workers:
            if worker.hang is None and worker.is_silent(now):
                worker.kill()  # before anything is written: it may hold the ledger's lock
                became = STUCK if worker.is_stuck else "killed and replaced"
                worker.hang = f"worker {worker.process.pid} silent for {worker.patience:.0f} s: {became}"
        for worker in self.workers:
            if worker.stopping:
                worker.stop()  # repeated, because a full channel drops messages
            if worker.hang and not worker.hang_is_recorded:
                self._queue.event("hang", worker.hang, logging.WARNING, worker=worker.process.pid)
                worker.hang_is_recorded = True
            if worker.is_gone:
                worker.listen(now)  # its last messages
                self._bury(worker, now)
        self._promote()
        if now >= self._renew_at:
            self._renew_at = now + RENEW
            for worker in self.workers:
                if worker.ready:
                    self._queue.claims.renew(worker.owner, LEASE)
        self._note_trouble()
        look = LAST_LOOK if any(worker.hung_up for worker in self.workers) else LOOK
        return min(now + look, self._renew_at)

    def stop(self) -> None:
        """Asks every worker to finish its batches and exit; starts no more workers."""
        self._stopping = True
        for worker in self.workers:
            worker.stop()

    def kill(self) -> None:
        """Kills every worker; their images go back to the queue without blame."""
        for worker in self.workers:
            self._dismiss(worker)

    def abandon(self) -> None:
        """Kills every worker and writes nothing: the next start returns their images to the queue."""
        for worker in self.workers:
            worker.kill()

    def _promote(self) -> None:
        """Puts a candidate that is ready into service, and lets the worker before it finish its batches."""
        if self.ready:
            self._served = True
            self._death = None
        if self.candidate and self.candidate.ready:
            if self.current:
                self.current.stop()
                self.retiring.append(self.current)
            self.current, self.candidate = self.candidate, None
            self.config, self.binding, self._batch = self.current.config, self.current.binding, self.current.batch

    def _note_trouble(self) -> None:
        """Records the trouble of the worker in service in the audit trail, as soon as the ledger can be written."""
        trouble = self.current.trouble if self.current else None
        said = "; ".join(filter(None, (trouble and f"no new work: {trouble}", self.held_up)))
        if said != self._noted:
            self._queue.event("trouble", said or "going on", logging.WARNING)
            self._noted = said

    def _bury(self, worker: WorkerProcess, now: float) -> None:
        """Returns the images of a dead worker to the queue, and decides what follows."""
        code = worker.process.returncode
        if code == os.EX_DATAERR:  # before its leases are returned, which would be written into the damaged file
            raise LedgerDamaged(worker.refused or "A worker found the results database damaged.")
        blameless = worker.stopping or worker.ready is None
        out_of_memory = not worker.hang and code == -signal.SIGKILL and oom_kills() > worker.oom_kills
        in_service = worker is self.current
        # A smaller batch may need less memory. A single image that needs too much must not come back for ever.
        held = self._forget(worker, died=not blameless and not (out_of_memory and worker.batch > 1))
        if worker.stopping:
            return
        said = (
            worker.hang
            or worker.refused
            or f"worker ended in {'service' if worker.ready else 'warm-up'} ({_ending(code)})"
        )
        if not in_service:
            self.refuse(said, self._trial)
            return
        self._crashes = 1 if worker.finished else self._crashes + 1
        if (
            not self._served and code != os.EX_TEMPFAIL
        ):  # a ledger that cannot be written at the moment is not the worker's fault
            if worker.refused and self._fallback:
                self._fall_back(worker.refused)
            elif worker.refused:
                raise ConfigError(worker.refused)
            if self._crashes >= START_TRIES:
                raise InspectdError(f"{said}, {self._crashes} times in a row: see the log above for its last messages.")
        if out_of_memory and self._batch > 1:
            self._batch //= 2
            said += f"; killed by the kernel for memory: batch is now {self._batch}"
        self._death = said
        self._start_at = now + _back_off(self._crashes, BACK_OFF_BLAMED if held else BACK_OFF_MOST)
        if not worker.hang:
            self._queue.event("worker-died", said, logging.WARNING, worker=worker.process.pid, exit=code)

    def _fall_back(self, why: str) -> None:
        """Begins with the earlier versions; the current ones are tried one by one once images are judged."""
        self.binding, self._fallback = self._fallback or self.binding, None
        said = f"the current versions cannot be served, so judging starts with the earlier ones: {why}"
        self._queue.event("activation-refused", said, logging.WARNING)

    def _dismiss(self, worker: WorkerProcess) -> None:
        worker.stopping = True
        worker.kill()
        self._forget(worker, died=False)

    def _forget(self, worker: WorkerProcess, *, died: bool) -> int:
        """Releases the images of a dead worker, then forgets the worker; may be repeated if the ledger refuses.

        Returns:
            How many images it held.
        """
        held = self._queue.claims.release(worker.owner, died=died)
        if worker.is_stuck:
            self._stuck.append(worker)
        self._finished_before += worker.finished
        worker.channel.close()
        if worker is self.current:
            self.current = None
        elif worker is self.candidate:
            self.candidate = None
        else:
            self.retiring.remove(worker)
        return held


def _back_off(crashes: int, most: float) -> float:
    """Seconds to wait before the next start, after so many crashes in a row: 0, 0, 2, 4, 8 …"""
    return 0.0 if crashes < 3 else min(most, 2.0 ** min(crashes - 2, 16))


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
