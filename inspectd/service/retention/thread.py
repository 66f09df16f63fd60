"""Retention at work: the ledger releases what `candidates` chooses, then the files are removed from their disk.

Retention has a thread of its own, because a disk that hangs must not stop the daemon's loop. It rests between its short
transactions, so that ingest and the worker find the ledger free. If a disk stays too full because only protected images
are left, it reports that once and removes nothing else.
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
BLOCKED = 1000  # files that cannot be removed, after which no more are released
STEP = 3600.0  # seconds by which the wall clock may move against the boot clock and is still believed
DOUBT = 86400.0  # seconds for which age is then ignored
FAR = 30 * 86400.0  # seconds without an outcome or event, after which age is ignored for a day
PATIENCE = 5.0  # seconds for the thread to end; after that it is left behind


class RetentionThread:
    """Applies the rules of one configuration, until `stop`."""

    def __init__(self, config: Config, expiry: RetentionLedger) -> None:
        self.problem: str | None = None  # a sentence for a person, if something is wrong
        self.damage: LedgerDamaged | None = None  # the damage at which it ended
        self._expiry = expiry
        self._rules = rules(config, expiry)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="retention", daemon=True)
        self._age = AgeClock()
        self._is_far = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the present transaction; the next start completes what this interrupts."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)

    def run_once(self) -> None:
        """Makes one pass: completes interrupted removals, applies every rule, and records the sum in the audit trail.

        Raises:
            LedgerUnavailable: the ledger takes no writes at the moment; the same call may be made again.
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
        """The present time; None while the clock may be wrong: it leapt, or is far beyond every time in the ledger."""
        is_steady = self._age.is_steady(now.timestamp(), _boot_seconds())
        newest = self._expiry.newest_before(utc_text(now - timedelta(seconds=DOUBT)))
        is_far = newest is not None and newest < utc_text(now - timedelta(seconds=FAR))
        if is_far and not self._is_far:
            log.warning("nothing happened here from %s until today: nothing is removed by age for a day", newest)
        self._is_far = is_far
        return now if is_steady and not is_far else None

    def _is_blocked(self) -> bool:
        """Whether too many files cannot be removed: releasing more would free nothing."""
        return self._expiry.pending() >= BLOCKED

    def _remove_due(self) -> list[str]:
        """Removes the files that the ledger has released; returns the problems."""
        beyond, fault = 0, None
        while due := self._expiry.due(PAGE, beyond):
            removed = remove(due)
            self._expiry.removed(removed.done)
            tidy(removed.folders)  # only now: a file whose folder is missing might lie on a disk that is not mounted
            beyond, fault = due[-1].id, removed.fault or fault
            if self._stopping.wait(REST):
                break
        return [f"files cannot be removed: {fault.strerror or fault}"] if fault else []

    def _tell(self, problems: list[str]) -> None:
        """Reports a change of the problems once, to the log and the audit trail."""
        problem = "; ".join(problems) or None
        if problem == self.problem:
            return
        if problem:
            self._expiry.event("retention-alarm", problem, logging.ERROR)
        else:
            self._expiry.event("retention", "retention is working again", logging.WARNING)
        self.problem = problem

    def _work(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            began = time.monotonic()
            try:
                self.run_once()
            except LedgerUnavailable as error:  # the daemon itself reports it
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
    """Whether the age of an image by the wall clock may be believed.

    A clock that leaps ahead would make everything old at once. After a leap, age is ignored for a day.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._until = 0.0

    def is_steady(self, wall: float, boot: float) -> bool:
        """Whether the wall clock kept step with the boot clock; both in seconds, read together."""
        offset = wall - boot
        if self._offset is not None and abs(offset - self._offset) > STEP:
            self._until = boot + DOUBT
            log.warning("the clock was set by %.0f s: nothing is removed by age for a day", offset - self._offset)
        self._offset = offset
        return boot >= self._until


def _boot_seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _alarm(rule: Rule) -> str:
    """The sentence of the alarm, without figures that change all the time, because it is reported once."""
    folders = " and ".join(str(root) for root in rule.roots)
    return (
        f"less than {rule.free} is free for {folders} (retention.{rule.name}.free), and only "
        "protected images are left (pinned, reviewed, for review or failed). Make room, or unpin some"
    )
