"""The two clocks of the daemon: UTC wall time for people, and the boot clock for leases.

A wall clock is set, steps and drifts, so it must never decide whether a lease has expired. The boot clock only runs
forwards (it also counts suspended time), but means nothing after a reboot: it is always read together with a boot id.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def utc_text(moment: datetime) -> str:
    """A moment as the ledger stores it: UTC ISO-8601 text with milliseconds, ``2026-11-23T15:28:34.123Z``.

    All such texts have 24 characters and sort as they read. A datetime without a zone is taken as local time.
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_now() -> str:
    """The present moment as `utc_text`."""
    return utc_text(datetime.now(UTC))


class Clock(Protocol):
    """Seconds that never run backwards within one boot; what leases are measured on."""

    boot: str

    def now(self) -> float: ...


class BootClock:
    """The kernel's boot clock: `now` in seconds since the boot that `boot` names."""

    def __init__(self) -> None:
        self.boot = _BOOT_ID.read_text().strip()

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
