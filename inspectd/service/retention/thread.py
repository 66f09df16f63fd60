"""Retention at work: the ledger releases what `candidates` chooses, then the files are removed from their disk.

It has a thread of its own, because a disk that hangs must not hold up the daemon's loop, and rests between its short
transactions, so that ingest and the worker always find the ledger free. Where a disk stays too full because nothing is
left that may go, it says so, once, and removes nothing else.
"""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta

from inspectd.clock import utc_text
from inspectd.config import Config
from inspectd.errors import InspectdError, LedgerDamaged, LedgerUnavailable
from inspectd.ledger.transactions import REST
from inspectd.ledger.write.retention import RetentionLedger
from inspectd.service.retention.candidates import PAGE, RemovalTally, Rule, cutoff, rules, shortage, walk
from inspectd.service.retention.removal import remove, tidy

log = logging.getLogger(__name__)

EVERY = 60.0  # seconds between two passes
SHARE = 10  # a pass takes at most 1/10 of the time
BLOCKED = 1000  # files that cannot be removed, after which no more are let go of
STEP = 3600.0  # seconds by which the wall clock may move against the boot clock before it is not believed
DOUBT = 86400.0  # seconds for which age then counts for nothing
FAR = 30 * 86400.0  # seconds without any outcome or event that are believed only when they have been over for a day
PATIENCE = 5.0  # seconds for the thread to end; a disk that hangs is left to itself


class RetentionThread:
    """The rules of one configuration at work, until `stop`."""

    def __init__(self, config: Config, expiry: RetentionLedger) -> None:
        self.problem: str | None = None  # what a person must look at, in a sentence
        self.damage: LedgerDamaged | None = None  # it met this and has ended
        self._expiry = expiry
        self._rules = rules(config, expiry)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="retention", daemon=True)
        self._age = AgeClock()
        self._is_far = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the transaction in hand; what is cut short is made good by the next start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)

    def run_once(self) -> None:
        """One pass: first what was cut short, then every rule; at its end the audit trail tells what went.

        Raises:
            LedgerUnavailable: the ledger takes no writes just now; the same call may be made again.
        """
        problems = self._remove_due()
        if self._is_blocked():
            self._tell(problems)
            return
        now = self._believed(datetime.now(UTC))
        removed, exhausted = [], []
        for rule in self._rules:
            tally = RemovalTally()
            before, missing = cutoff(rule, now) if now else "", shortage(rule)
            for going in walk(rule, before, missing):
                if going:
                    rule.let_go({each.candidate.id: each.removals for each in going})
                    tally.add(going, before)
                    problems = self._remove_due()
                if self._is_blocked() or self._stopping.wait(REST):
                    break
            if tally.by_age + tally.by_space:
                removed.append(tally.text(rule.noun))
            if max(missing.values(), default=0) > 0:
                exhausted.append(rule)
            if self._stopping.is_set():
                break
        if removed:
            self._expiry.event("retention", f"removed {', '.join(removed)}")
        if not self._stopping.is_set():
            self._tell(problems or [_alarm(rule) for rule in exhausted if shortage(rule)])

    def _believed(self, now: datetime) -> datetime | None:
        """The present time; None while the clock may be wrong: it leapt, or stands far beyond all the ledger knows."""
        is_steady = self._age.is_steady(now.timestamp(), _boot_seconds())
        newest = self._expiry.newest_before(utc_text(now - timedelta(seconds=DOUBT)))
        is_far = newest is not None and newest < utc_text(now - timedelta(seconds=FAR))
        if is_far and not self._is_far:
            log.warning("nothing happened here from %s until today: nothing is removed by age for a day", newest)
        self._is_far = is_far
        return now if is_steady and not is_far else None

    def _is_blocked(self) -> bool:
        """What cannot be removed frees nothing: after some, letting go of more would be senseless."""
        return self._expiry.pending() >= BLOCKED

    def _remove_due(self) -> list[str]:
        """Remove from the disks what the ledger has let go of; what is in the way of that."""
        beyond, fault = 0, None
        while due := self._expiry.due(PAGE, beyond):
            removed = remove(due)
            self._expiry.removed(removed.done)
            tidy(removed.folders)  # only now: a file whose folder is missing might lie on a disk that is away
            beyond, fault = due[-1].id, removed.fault or fault
            if self._stopping.wait(REST):
                break
        return [f"files cannot be removed: {fault.strerror or fault}"] if fault else []

    def _tell(self, problems: list[str]) -> None:
        """Say what changed: to the log and the audit trail, once."""
        problem = "; ".join(problems) or None
        if problem == self.problem:
            return
        if problem:
            self._expiry.event("retention-alarm", problem, logging.ERROR)
        else:
            self._expiry.event("retention", "nothing is in the way any more", logging.WARNING)
        self.problem = problem

    def _work(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            began = time.monotonic()
            try:
                self.run_once()
            except LedgerUnavailable as error:  # the daemon itself tells of it
                log.debug("retention waits: %s", error)
            except LedgerDamaged as error:
                self.damage = error
                return
            except InspectdError as error:
                log.error("retention: %s", error)
            except Exception:
                log.exception("retention failed and tries again")
                self.problem = "retention failed, the log says why"
            pause = max(EVERY, SHARE * (time.monotonic() - began))


class AgeClock:
    """Whether the wall clock may be believed when it says how old something is.

    A clock that leaps ahead would make everything old at once. After a leap age counts for nothing for a day.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._until = 0.0

    def is_steady(self, wall: float, boot: float) -> bool:
        """Both clocks in seconds, read together."""
        offset = wall - boot
        if self._offset is not None and abs(offset - self._offset) > STEP:
            self._until = boot + DOUBT
            log.warning("the clock was set by %.0f s: nothing is removed by age for a day", offset - self._offset)
        self._offset = offset
        return boot >= self._until


def _boot_seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _alarm(rule: Rule) -> str:
    """Without figures, which change all the time: it is told once."""
    folders = " and ".join(str(root) for root in rule.roots)
    return (
        f"less than {rule.free} is free for {folders} (retention.{rule.name}.free), and nothing is left that may be "
        "removed: what is pinned, reviewed, under review or failed stays. Make room, or unpin"
    )
