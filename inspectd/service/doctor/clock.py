"""Checks the wall clock, by which people find results. Leases do not depend on it."""

import ctypes
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from inspectd.clock import utc_text
from inspectd.service.doctor.finding import Diagnosis, Site, fault, ok, warn

YEARS = range(2026, 2100)  # inspectd began in 2026; a machine whose clock battery is empty shows 1970 or 2000
SLACK = timedelta(seconds=5)  # a running correction may set the clock back so far
UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
SET = "set it: `timedatectl set-ntp true`, or `date --set`"


def check_clock(_: Site) -> Iterator[Diagnosis]:
    """Checks the year, and whether the kernel's clock is synchronised."""
    now = datetime.now(UTC)
    yield plausible(now)
    yield synchronised(_ask_the_kernel())


def plausible(now: datetime) -> Diagnosis:
    """Whether the year is plausible."""
    if now.year not in YEARS:
        return fault("clock", "time", f"{utc_text(now)} is not plausible: the clock is wrong", SET)
    return ok("clock", "time", utc_text(now))


def after_newest(newest: str | None, now: datetime) -> Diagnosis:
    """Whether the newest row lies in the future: then the clock was set back, and `--since` misses new results."""
    if newest is not None and datetime.fromisoformat(newest) > now + SLACK:
        found = f"it is {utc_text(now)}, and the newest row is of {newest}: the clock was set back"
        return warn("clock", "newest row of the ledger", found, SET)
    return ok("clock", "newest row of the ledger", newest or "none yet")


def synchronised(state: int) -> Diagnosis:
    """Interprets the answer of adjtimex(2): -1 if it may not be called, `UNSYNCHRONISED`, or a synchronised state."""
    if state == UNSYNCHRONISED:
        return warn(
            "clock", "time server", "no time server synchronises the clock", "`timedatectl set-ntp true`, or chrony"
        )
    return ok("clock", "time server", "synchronised" if state >= 0 else "unknown: the kernel does not answer here")


def _ask_the_kernel() -> int:
    """Calls adjtimex(2) without a change; its struct has at most 208 bytes."""
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)))
