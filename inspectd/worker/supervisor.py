"""The supervisor's side of the workers: start, watch over, replace, stop.

It renews a worker's leases only while the worker shows signs of life, kills one that hangs, and gives the images of a
dead one back to the queue. It never imports TensorFlow and never touches an image.
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
LOOK = 1.0  # seconds between two looks at the workers; what they say wakes us at once
LAST_LOOK = 0.05  # ... at one that has hung up and will be gone in a moment
STUCK_MOST = 2  # workers that the kernel does not let go of, beside which another one is started
STUCK = "killed, but the kernel does not let go of it before a disk or a device answers"
START_TRIES = 3  # crashes in warm-up before the first READY that we put up with
BACK_OFF_MOST = 60.0  # seconds between two starts of a worker that keeps dying
BACK_OFF_BLAMED = 2.0  # ... over the images it held: these deaths are counted, and good images wait behind them


@dataclass(frozen=True)
class Trial:
    """What a candidate has to prove.

    Attributes:
        kind: Of the event, should it fail: `reload` for `reload-refused`.
        subject: What is then refused, for people.
        stays: What remains in its place, as a clause.
    """

    kind: str
    subject: str
    stays: str


RELOAD = Trial("reload", "reload", "the configuration before stays in force")


class Supervisor:
    """Keeps one proven worker in service, and brings up its successor beside it when configuration or models change."""

    def __init__(self, config: Config, queue: Queue, *, may_fall_back: bool = False) -> None:
        """May it start with the versions before, where those that are current cannot be served?"""
        self.config = config
        self.binding = bind(config)  # the bundles in service
        self.current: WorkerProcess | None = None
        self.candidate: WorkerProcess | None = None
        self.retiring: list[WorkerProcess] = []
        self._stuck: list[WorkerProcess] = []  # killed, but still in the kernel, with their memory
        self.refused: dict[str, str] = {}  # why the newest reload or activation was not taken, by the trial's subject
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
        """Descriptors that become readable when a worker speaks."""
        return [worker.channel.fileno() for worker in self.workers if not worker.hung_up]

    @property
    def ready(self) -> Ready | None:
        """What the worker in service said when it became ready; None while there is none."""
        return self.current.ready if self.current else None

    @property
    def trouble(self) -> str | None:
        """Why no image is judged just now; None while a worker serves, and before the first one did."""
        return self.current.trouble if self.current and self.current.ready else self._death

    @property
    def held_up(self) -> str | None:
        """Why no source file is put away just now, while images are judged."""
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
        """Tell the worker that there is work."""
        if self.current and self.current.ready:
            self.current.channel.send(Wake())

    @property
    def refusals(self) -> str:
        """What was not taken, with its reason, in one line; empty where everything was."""
        return "; ".join(f"{subject} refused: {why}" for subject, why in self.refused.items())

    def replace(self, config: Config, now: float, trial: Trial = RELOAD, binding: Binding | None = None) -> None:
        """Prove a configuration in a new worker; the one in service goes on until the new one is ready.

        Args:
            binding: The bundles that judge. Default: what the configured models mean now.
        """
        if self.candidate:  # overtaken by this one; buried by the next tick, for the ledger may refuse just now
            self.candidate.stop()
            self.retiring.append(self.candidate)
        self.refused.pop(trial.subject, None)
        self._trial = trial
        self.candidate = WorkerProcess(config, binding or bind(config), config.worker.batch, now)

    def refuse(self, why: str, trial: Trial = RELOAD) -> None:
        """Record that something new is not taken; what is in force stays."""
        self.refused[trial.subject] = said = "; ".join(why.splitlines())  # systemd's protocol and the log know lines
        self._queue.event(f"{trial.kind}-refused", f"{trial.subject} refused, {trial.stays}: {said}", logging.WARNING)

    def tick(self, now: float) -> float:
        """Do what is due; returns when to come again (monotonic seconds).

        Raises:
            ConfigError: before the first READY, when the configuration or its models cannot be served.
            InspectdError: before the first READY, when the worker keeps crashing in warm-up.
            LedgerDamaged: a worker says so; nothing is written after that.
        """
        self._stuck = [worker for worker in self._stuck if worker.process.poll() is None]
        may_start = not self._stopping and now >= self._start_at and len(self._stuck) < STUCK_MOST
        if self.current is None and may_start:
            self.current = WorkerProcess(self.config, self.binding, self._batch, now)
        for worker in self.workers:
            if worker.hang is None and worker.is_silent(now):
                worker.kill()  # before anything is written: it may have stopped with the ledger's lock in its hands
                became = STUCK if worker.is_stuck else "killed and replaced"
                worker.hang = f"worker {worker.process.pid} silent for {worker.patience:.0f} s: {became}"
        for worker in self.workers:
            if worker.stopping:
                worker.stop()  # said again: a line that was full has dropped it
            if worker.hang and not worker.hang_is_recorded:
                self._queue.event("hang", worker.hang, logging.WARNING, worker=worker.process.pid)
                worker.hang_is_recorded = True
            if worker.is_gone:
                worker.listen(now)  # its last words
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
        """Ask every worker to finish the batch in hand and exit; none is started any more."""
        self._stopping = True
        for worker in self.workers:
            worker.stop()

    def kill(self) -> None:
        """End every worker now; what they held goes back to the queue without blame."""
        for worker in self.workers:
            self._dismiss(worker)

    def abandon(self) -> None:
        """End every worker now and write nothing: what they held is given back at the next start."""
        for worker in self.workers:
            worker.kill()

    def _promote(self) -> None:
        """Put a candidate that has become ready in service, and let the worker before it drain."""
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
        """Leave in the audit trail what the worker in service says of its trouble, as soon as the ledger takes it."""
        trouble = self.current.trouble if self.current else None
        said = "; ".join(filter(None, (trouble and f"no new work: {trouble}", self.held_up)))
        if said != self._noted:
            self._queue.event("trouble", said or "going on", logging.WARNING)
            self._noted = said

    def _bury(self, worker: WorkerProcess, now: float) -> None:
        """Give back what a dead worker held, and decide what follows."""
        code = worker.process.returncode
        if code == os.EX_DATAERR:  # before its leases are given back, for that would be written into this file
            raise LedgerDamaged(worker.refused or "A worker found the results database damaged.")
        blameless = worker.stopping or worker.ready is None
        out_of_memory = not worker.hang and code == -signal.SIGKILL and oom_kills() > worker.oom_kills
        in_service = worker is self.current
        # A smaller batch may need less memory. An image that is too much by itself must not come back for ever.
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
        if not self._served and code != os.EX_TEMPFAIL:  # a ledger that takes nothing just now is no fault of ours
            if worker.refused and self._fallback:
                self._fall_back(worker.refused)
            elif worker.refused:
                raise ConfigError(worker.refused)
            if self._crashes >= START_TRIES:
                raise InspectdError(f"{said}, {self._crashes} times in a row: see the log above for its last words.")
        if out_of_memory and self._batch > 1:
            self._batch //= 2
            said += f"; killed by the kernel for memory: batch is now {self._batch}"
        self._death = said
        self._start_at = now + _back_off(self._crashes, BACK_OFF_BLAMED if held else BACK_OFF_MOST)
        if not worker.hang:
            self._queue.event("worker-died", said, logging.WARNING, worker=worker.process.pid, exit=code)

    def _fall_back(self, why: str) -> None:
        """Begin with the versions before; those that are current are tried one by one once images are judged."""
        self.binding, self._fallback = self._fallback or self.binding, None
        said = f"what is current cannot be served, beginning with the versions before: {why}"
        self._queue.event("activation-refused", said, logging.WARNING)

    def _dismiss(self, worker: WorkerProcess) -> None:
        worker.stopping = True
        worker.kill()
        self._forget(worker, died=False)

    def _forget(self, worker: WorkerProcess, *, died: bool) -> int:
        """Release what a dead worker held, then take it out of its place; repeated if the ledger refuses.

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
    """Seconds to wait before the next start, after that many crashes in a row: 0, 0, 2, 4, 8 …"""
    return 0.0 if crashes < 3 else min(most, 2.0 ** min(crashes - 2, 16))


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
