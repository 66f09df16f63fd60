"""The real daemon as a process of its own: started, heard when it says READY, started again as systemd would, stopped.

It is asked nothing that a user could not ask of it: `inspectd run` on a site, signals, and systemd's notices.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from inspectd.errors import ConfigError, InspectdError
from inspectd.rehearsal.site import RehearsalSite

RESTART = 0.2  # seconds between an end and the next start
TRIES = 5  # ends in a row without READY before the rehearsal gives up
READY_PATIENCE = 300.0  # seconds for the daemon to become ready
STOP_PATIENCE = 40.0  # seconds for it to end in good order
POLL = 0.02  # seconds between two looks at the process


class DaemonProcess:
    """`inspectd run` on a site, from the first `tend` until `stop` or `close`.

    Somebody has to call `tend` all the time: a daemon whose notices are not read waits at each of them.
    """

    def __init__(self, site: RehearsalSite, *, tries: int = TRIES) -> None:
        """`tries`: how often the daemon may end without READY; with 1, its first unexpected end is an error."""
        self._site = site
        self._tries = tries
        self._address = f"inspectd-rehearsal-{secrets.token_hex(8)}"
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._notices.bind(f"\0{self._address}")
        self._log = site.log.open("ab")
        self.readies = 0  # how often the daemon said READY
        self._ready: int | None = None  # the worker that was there when the daemon said READY
        self._failures = 0
        self._start_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The daemon's process, while there is one."""
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

    def tend(self, now: float) -> None:
        """Reads the daemon's notices, and starts the daemon if it does not run (`now`: monotonic seconds).

        Raises:
            InspectdError: the daemon refuses its configuration, or ends again and again before it is ready.
        """
        self._listen()
        if self._process is None:
            if now >= self._start_at:
                self._process = self._start()
        elif (code := self._process.poll()) is not None:
            self._process = None
            self._failures += code >= 0 or self._tries == 1
            if code == ConfigError.exit_code or self._failures >= self._tries:
                raise self._ended(code)
            self._start_at = now + RESTART

    def wait(self, over: Callable[[], bool], patience: float, what: str, *, every: float = POLL) -> None:
        """Tends the daemon until `over`.

        Raises:
            InspectdError: `what` (such as "the daemon is not ready") after `patience` seconds, or as `tend`.
        """
        until = time.monotonic() + patience
        while not over():
            now = time.monotonic()
            if now > until:
                raise InspectdError(f"{what} after {patience:.0f} s. The daemon's log is {self._site.log}.")
            self.tend(now)
            time.sleep(every)

    def wait_until_ready(self) -> None:
        """Starts the daemon and waits for its first READY.

        Raises:
            InspectdError: there is none in time.
        """
        self.wait(lambda: self.readies > 0, READY_PATIENCE, "the daemon is not ready")

    def stop(self) -> None:
        """Ends the daemon in good order.

        Raises:
            InspectdError: it does not end, or not with exit 0.
        """
        if self._process is not None:
            self._process.terminate()
            self._await_end(self._process, STOP_PATIENCE, "the daemon that was told to stop")

    def run_once(self, patience: float) -> None:
        """`inspectd run --once` on the same site.

        Raises:
            InspectdError: it fails, or does not end in time.
        """
        self._process = self._start("--once")
        self._await_end(self._process, patience, "`inspectd run --once`")

    def close(self) -> None:
        """Kills what still runs of the daemon, stopped workers too."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._notices.close()
        self._log.close()

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """In a session of its own, so that Ctrl-C reaches only the rehearsal, which then stops the daemon."""
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

    def _await_end(self, process: "subprocess.Popen[bytes]", patience: float, name: str) -> None:
        until = time.monotonic() + patience
        while (code := process.poll()) is None:
            self._listen()
            if time.monotonic() > until:
                raise InspectdError(f"{name} does not end within {patience:.0f} s. Its log is {self._site.log}.")
            time.sleep(POLL)
        if code:
            raise InspectdError(f"{name} ended with exit {code}. Its log is {self._site.log}.")
        self._process = None

    def _ended(self, code: int) -> InspectdError:
        last = (self._site.log.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
        return InspectdError(f"the daemon ended (exit {code}). The last line of {self._site.log} is: {last}")


@contextmanager
def serving(site: RehearsalSite, *, tries: int = TRIES) -> Iterator[DaemonProcess]:
    """A daemon that is ready; stopped in good order at the end, also after an interrupt, and killed if that fails."""
    daemon = DaemonProcess(site, tries=tries)
    try:
        daemon.wait_until_ready()
        yield daemon
    finally:
        try:
            daemon.stop()
        finally:
            daemon.close()


def is_alive(pid: int) -> bool:
    """Whether this process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
