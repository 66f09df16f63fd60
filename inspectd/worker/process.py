"""One worker process as its supervisor sees it: started, listened to, told to stop, killed.

The worker's messages are kept here, and the supervisor decides what follows. Nothing here touches the ledger.
"""

import secrets
import socket
import subprocess
import sys
from pathlib import Path

from inspectd.config import Config
from inspectd.worker.binding import Binding, bound
from inspectd.worker.channel import Message, Progress, Ready, Refused, Settings, Stop, pair

LEASE = 60.0  # seconds a claim lasts unless renewed
WARM_UP = 300.0  # seconds to load, trace and warm every model
DYING = 2.0  # seconds that a killed worker may take to be gone
HANG_LEAST = 30.0  # seconds of silence that never count as a hang
HANG_BATCHES = 20  # ... and neither does silence shorter than this many of the slowest warm-up batches


class WorkerProcess:
    """One worker process and its state."""

    def __init__(self, config: Config, binding: Binding, batch: int, now: float) -> None:
        self.config = config
        self.binding = binding
        self.batch = batch
        self.owner = f"{socket.gethostname()}:{secrets.token_hex(4)}"
        self.ready: Ready | None = None
        self.refused: str | None = None
        self.finished = 0
        self.trouble: str | None = None  # why it takes no work, in its own words
        self.held_up: str | None = None  # why it puts no source files away
        self.is_putting_away = True  # until it says that no file is left
        self.stopping = False
        self.hung_up = False  # its end of the channel is closed: the process is gone, or nearly
        self.hang: str | None = None  # how long it was silent, if it was killed for that
        self.hang_is_recorded = False
        self.is_stuck = False  # it was killed, and the kernel has not let go of it
        self.heard = now
        self.oom_kills = oom_kills()
        self.channel, theirs = pair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "inspectd", "worker", "--channel", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
            )
        self.channel.send(Settings(bound(config, binding).model_dump_json(), self.owner, batch, LEASE))

    @property
    def patience(self) -> float:
        """Seconds of silence after which this worker counts as hung."""
        return WARM_UP if self.ready is None else max(HANG_LEAST, HANG_BATCHES * self.ready.slowest)

    def is_silent(self, now: float) -> bool:
        """Whether it is alive, but has been silent for longer than its patience."""
        self.listen(now)
        return self.process.poll() is None and now - self.heard > self.patience

    def listen(self, now: float) -> None:
        """Reads every message that has arrived."""
        while True:
            try:
                message: Message = self.channel.receive()
            except BlockingIOError:
                return
            except EOFError:
                self.hung_up = True
                return
            self.heard = now
            match message:
                case Ready():
                    self.ready = message
                case Refused(sentence):
                    self.refused = sentence
                case Progress(finished, trouble, quiet, is_putting_away, held_up):
                    self.finished, self.trouble, self.heard = finished, trouble, now - quiet
                    self.is_putting_away, self.held_up = is_putting_away, held_up
                case _:
                    raise AssertionError(f"a worker does not say {message}")

    def stop(self) -> None:
        """Asks it to finish its batches and end; a worker that still warms up has none and is killed."""
        self.stopping = True
        if self.ready is None:
            self.process.kill()
        self.channel.send(Stop())

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, or will as soon as the kernel releases it."""
        return self.process.poll() is not None or self.is_stuck

    def kill(self) -> None:
        """Kills it. A process that waits in the kernel for a disk or a device stays until that answers: it is stuck."""
        self.process.kill()
        try:
            self.process.wait(DYING)
        except subprocess.TimeoutExpired:
            self.is_stuck = True


def oom_kills() -> int:
    """How often the kernel has killed a process to free memory since boot."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return 0
