"""The real daemon as a process, kept as systemd keeps it: started again when it ends, heard when it says READY."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from inspectd.demo.place import Place
from inspectd.errors import ConfigError, InspectdError

RESTART = 0.2  # seconds between an end and the next start
TRIES = 5  # ends in a row without READY that are put up with
STOP_PATIENCE = 40.0
POLL = 0.02


class Service:
    """`inspectd run` on a site, until `close`."""

    def __init__(self, site: Place) -> None:
        self._site = site
        self._address = f"inspectd-simulate-{secrets.token_hex(8)}"
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._notices.bind(f"\0{self._address}")
        self._log = site.log.open("ab")
        self.readies = 0  # how often READY was said
        self._ready: int | None = None  # the worker that was there when READY was said
        self._failures = 0
        self._start_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def tend(self, now: float) -> None:
        """Hear what it says, and start it if it does not run (`now`: monotonic seconds).

        Raises:
            InspectdError: it refuses its configuration, or ends again and again before it is ready.
        """
        self._listen()
        if self._process is None:
            if now >= self._start_at:
                self._process = self._start()
        elif (code := self._process.poll()) is not None:
            self._failures += code >= 0
            if code == ConfigError.exit_code or self._failures >= TRIES:
                raise InspectdError(f"the daemon ended (exit {code}) and will not serve. Its log is {self._site.log}.")
            self._process = None
            self._start_at = now + RESTART

    @property
    def pid(self) -> int | None:
        """The supervisor's process, while there is one."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def worker(self) -> int | None:
        """The worker's process, while there is one."""
        with suppress(OSError):
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            return next((int(child) for child in reversed(children) if is_alive(int(child))), None)
        return None

    @property
    def ready_worker(self) -> int | None:
        """The worker's process, while there is one that takes work."""
        return self.worker if self.worker == self._ready else None

    def stop(self) -> None:
        """End it in good order.

        Raises:
            InspectdError: it does not end, or not with exit 0.
        """
        if self._process is not None:
            self._process.terminate()
            self._end(self._process, STOP_PATIENCE, "the daemon that was told to stop")

    def run_once(self, patience: float) -> None:
        """`inspectd run --once` on the same site.

        Raises:
            InspectdError: it fails, or does not end in time.
        """
        self._process = self._start("--once")
        self._end(self._process, patience, "`inspectd run --once`")

    def _end(self, process: "subprocess.Popen[bytes]", patience: float, who: str) -> None:
        """Wait for an end with exit 0, hearing every notice: a daemon that nobody hears waits at each."""
        until = time.monotonic() + patience
        while (code := process.poll()) is None:
            self._listen()
            if time.monotonic() > until:
                raise InspectdError(f"{who} does not end within {patience:.0f} s. Its log is {self._site.log}.")
            time.sleep(POLL)
        if code:
            raise InspectdError(f"{who} ended with exit {code}. Its log is {self._site.log}.")
        self._process = None

    def close(self) -> None:
        """Kill what still runs of it, workers that are stopped too."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._notices.close()
        self._log.close()

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """In a session of its own, so that Ctrl-C reaches the simulation alone."""
        return subprocess.Popen(
            [sys.executable, "-m", "inspectd", "run", "--config", str(self._site.config), *arguments],
            env={**os.environ, "NOTIFY_SOCKET": f"@{self._address}"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def _listen(self) -> None:
        with suppress(BlockingIOError):
            while notice := self._notices.recv(65536):
                if b"READY=1" in notice.splitlines():
                    self.readies += 1
                    self._failures = 0
                    self._ready = self.worker


def is_alive(pid: int) -> bool:
    """Whether this process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
