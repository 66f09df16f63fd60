"""The line between the supervisor and a worker: one socket pair, one message (compressed JSON) a packet.

A closed line is a message too: a worker whose supervisor is gone must exit, and a supervisor whose worker is gone must
replace it. Nothing said here is needed for correctness; the ledger alone decides what is claimed and what is done.
"""

import contextlib
import json
import socket
import zlib
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Ready:
    """Every model is loaded and warm; the worker takes work from now on."""

    device: str
    precision: str
    models: list[str]  # name@identity, as the view `verdicts` shows them
    versions: list[int]  # likewise
    bundles: list[str]  # likewise, their folders
    slowest: float  # seconds of the slowest warm-up batch, the measure of a hang

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
    """The worker cannot start with this configuration, or cannot go on; the sentence says why."""

    sentence: str


@dataclass(frozen=True)
class Progress:
    """A sign of life. ``judged`` counts the images finished since the start; ``trouble`` says why none are just now."""

    judged: int
    trouble: str | None = None
    quiet: float = 0.0  # seconds that one of the batches in hand has given no sign of life, while others did
    is_putting_away: bool = False  # there are source files to be moved or deleted, and no disk holds that up
    held_up: str | None = None  # why no source file is put away just now, while images are judged


@dataclass(frozen=True)
class Settings:
    """Supervisor to worker, first of all: the configuration as JSON, the owner of its leases, its batch size."""

    config: str
    owner: str
    batch: int
    lease: float  # seconds


@dataclass(frozen=True)
class Wake:
    """Supervisor to worker: there is new work. Only a hint."""


@dataclass(frozen=True)
class Stop:
    """Supervisor to worker: finish the batch in hand, then exit."""


Message = Ready | Refused | Progress | Settings | Wake | Stop
PACKET = 1 << 17  # bytes; a configuration of thousands of watches, which are much alike, fits when compressed
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in (Ready, Refused, Progress, Settings, Wake, Stop)}


class Channel:
    """One end of the line: a packet socket, so that a message arrives whole or not at all."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()

    def hang_up(self) -> None:
        """Let the other end see the line closed, although a thread of this process may keep the socket open."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def send(self, message: Message) -> None:
        """Send one message; one that cannot be delivered is dropped, because the other end is gone or stuck."""
        packet = zlib.compress(json.dumps([type(message).__name__, asdict(message)]).encode())
        with contextlib.suppress(OSError):
            self._end.send(packet)

    def receive(self) -> Message:
        """The next message, waiting for it as the socket does.

        Raises:
            BlockingIOError: when there is none now and the socket does not block.
            EOFError: when the other end is closed.
        """
        try:
            packet = self._end.recv(PACKET)
        except ConnectionError:
            packet = b""
        if not packet:
            raise EOFError("the other end is closed")
        kind, fields = json.loads(zlib.decompress(packet))
        return _KINDS[kind](**fields)


def pair() -> tuple[Channel, socket.socket]:
    """The supervisor's end, which never blocks, and the socket to hand to the worker process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PACKET)
    return Channel(ours), theirs
