"""The wall clock, by which people find a result again. Leases do not depend on it."""

import ctypes
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from inspectd.clock import utc_text
from inspectd.service.doctor.finding import Diagnosis, Site, fault, ok, warn

YEARS = range(2026, 2100)  # this software is of 2026; a machine that lost its clock's battery believes in 1970 or 2000
SLACK = timedelta(seconds=5)  # what a running correction may take back
UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
SET = "set it: `timedatectl set-ntp true`, or `date --set`"


def check_clock(_: Site) -> Iterator[Diagnosis]:
    """The year, and whether the kernel believes its clock to be held right."""
    now = datetime.now(UTC)
    yield plausible(now)
    yield synchronised(_ask_the_kernel())


def plausible(now: datetime) -> Diagnosis:
    """A year in which this software may run."""
    if now.year not in YEARS:
        return fault("clock", "time", f"{utc_text(now)} cannot be", SET)
    return ok("clock", "time", utc_text(now))


def after_newest(newest: str | None, now: datetime) -> Diagnosis:
    """Results of before a clock was set back seem to lie in the future, and `--since` misses new ones."""
    if newest is not None and datetime.fromisoformat(newest) > now + SLACK:
        found = f"it is {utc_text(now)}, and the newest row is of {newest}: the clock was set back"
        return warn("clock", "newest row of the ledger", found, SET)
    return ok("clock", "newest row of the ledger", newest or "none yet")


def synchronised(state: int) -> Diagnosis:
    """What adjtimex(2) answers: -1 where it may not be asked, `UNSYNCHRONISED`, or another state of a clock in step."""
    if state == UNSYNCHRONISED:
        return warn(
            "clock", "time server", "the clock is not held in step by one", "`timedatectl set-ntp true`, or chrony"
        )
    return ok("clock", "time server", "in step" if state >= 0 else "the kernel may not be asked here")


def _ask_the_kernel() -> int:
    """adjtimex(2) with nothing to change; its struct has 208 bytes or less."""
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)))
