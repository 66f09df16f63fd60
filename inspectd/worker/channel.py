"""The channel between the supervisor and a worker: one socket pair, one message (compressed JSON) in each packet.

A message that is too large for a packet lies in a file in memory, and its descriptor is sent. A closed channel is a
message too: a worker whose supervisor is gone exits, and a supervisor replaces a worker that is gone. Correctness does
not depend on these messages: the ledger alone decides what is claimed and what is done. Nothing that a worker sends is
unpickled, because a worker decodes hostile files.
"""

import contextlib
import json
import os
import socket
import threading
import zlib
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Ready:
    """Every model is loaded and warm; the worker takes work from now on."""

    device: str
    precision: str
    models: list[str]  # name@identity, as the view `verdicts` shows them
    versions: list[int]  # of these models
    bundles: list[str]  # the folders of their bundles
    slowest: float  # seconds of the slowest warm-up batch, by which a hang is measured

    @property
    def titles(self) -> dict[str, str]:
        """The models in full, by the bundle's folder."""
        each = zip(self.bundles, self.models, self.versions, strict=True)
        return {bundle: f"{model} (version {version})" for bundle, model, version in each}

    @property
    def in_words(self) -> str:
        """Models and device in one line."""
        return f"{', '.join(self.titles.values())} on {self.device} in {self.precision}"


@dataclass(frozen=True)
class Refused:
    """The worker cannot start with this configuration, or cannot go on; `sentence` says why."""

    sentence: str


@dataclass(frozen=True)
class Progress:
    """A heartbeat of the worker."""

    finished: int  # images with an outcome since the worker started, without folded ones
    trouble: str | None = None  # why the worker takes no work at the moment
    quiet: float = 0.0  # seconds since the last heartbeat of the batch that has been silent longest
    is_putting_away: bool = False  # there are source files to be moved or deleted, and their disk answers
    held_up: str | None = None  # why source files are not put away at the moment, while images are judged


@dataclass(frozen=True)
class Settings:
    """The supervisor's first message: the configuration as JSON, the owner of the leases, the batch size."""

    config: str
    owner: str
    batch: int
    lease: float  # seconds


@dataclass(frozen=True)
class Wake:
    """The supervisor tells the worker that there is new work. Only a hint."""


@dataclass(frozen=True)
class Stop:
    """The supervisor tells the worker to finish its batches and exit."""


Message = Ready | Refused | Progress | Settings | Wake | Stop
PACKET = 1 << 16  # bytes; a larger message, such as the configuration of thousands of watches, goes into a file
IN_FILE = b"in a file"  # data compressed by zlib never begins like this
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in (Ready, Refused, Progress, Settings, Wake, Stop)}


class Channel:
    """One end of the channel: a packet socket, so that a message arrives whole or not at all."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()

    def hang_up(self) -> None:
        """Closes the channel for the other end, although a thread of this process may keep the socket open."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def send(self, message: Message) -> None:
        """Sends one message, or drops it if it cannot be delivered, because the other end is then gone or stuck."""
        packet = zlib.compress(json.dumps([type(message).__name__, asdict(message)]).encode())
        with contextlib.suppress(OSError):
            if len(packet) <= PACKET:
                self._end.send(packet)
                return
            with os.fdopen(os.memfd_create("message"), "wb") as file:
                file.write(packet)
                file.flush()
                socket.send_fds(self._end, [IN_FILE], [file.fileno()])

    def receive(self) -> Message:
        """Returns the next message; waits for it if the socket blocks.

        Raises:
            BlockingIOError: there is none now, and the socket does not block.
            EOFError: the other end is closed.
        """
        try:
            packet, files, _, _ = socket.recv_fds(self._end, PACKET, 1)
        except ConnectionError:
            packet, files = b"", []
        if not packet:
            raise EOFError("the other end is closed")
        if packet == IN_FILE:
            with os.fdopen(files[0], "rb") as file:
                file.seek(0)
                packet = file.read()
        kind, fields = json.loads(zlib.decompress(packet))
        return _KINDS[kind](**fields)


class WorkerChannel:
    """The worker's end of the channel: its loop can wait for the events `stop` and `wake`; `say` sends a message."""

    def __init__(self, channel: Channel) -> None:
        settings = channel.receive()
        if not isinstance(settings, Settings):
            raise AssertionError(f"the supervisor sends its settings first, not {settings}")
        self.settings = settings
        self.stop = threading.Event()
        self.wake = threading.Event()
        self.say = channel.send
        self.hang_up = channel.hang_up
        self._channel = channel
        threading.Thread(target=self._listen, daemon=True, name="supervisor-channel").start()

    def _listen(self) -> None:
        while True:
            try:
                message = self._channel.receive()
            except EOFError:
                os._exit(0)  # crash only: without a supervisor, our leases are not renewed
            if isinstance(message, Stop):
                self.end()
            if isinstance(message, Wake):
                self.wake.set()

    def end(self) -> None:
        """Lets the batches that have begun be the last."""
        self.stop.set()
        self.wake.set()


def pair() -> tuple[Channel, socket.socket]:
    """Returns the supervisor's end, which never blocks, and the socket for the worker process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * PACKET)
    return Channel(ours), theirs
