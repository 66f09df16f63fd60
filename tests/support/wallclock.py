"""A wall clock that a test sets, for the daemon alone: the kernel's, which it shares with everybody, stays as it is."""

import shutil
import struct
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """The clock of every process that is started by the command `within`."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("this machine has no C compiler")
        library = folder / "wallclock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", library, SOURCE], check=True)
        self._file = folder / "wallclock"
        self._file.write_bytes(bytes(8))
        self._ahead = timedelta()
        self.within = ["env", f"LD_PRELOAD={library}", f"WALL_CLOCK={self._file}"]

    def set(self, ahead: timedelta) -> None:
        """Step to so long before or after the true time, in whole seconds."""
        self._ahead = ahead
        with self._file.open("r+b", buffering=0) as file:
            file.write(struct.pack("=q", int(ahead.total_seconds())))

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC) + self._ahead
