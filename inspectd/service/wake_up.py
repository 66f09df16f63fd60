"""Ends the sleep of the daemon's loop: at a time, for a file that arrives, a worker's message, or a signal.

Signal handlers only set a flag and wake the loop up; everything else happens in the loop.
"""

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress

PIPE = 65536  # bytes; each is one wake-up


class WakeUp:
    """A pipe that the loop sleeps on.

    Attributes:
        stop: A signal asked the daemon to end.
        reload: A signal asked for the configuration to be read again; the loop sets it back.
    """

    def __init__(self) -> None:
        self.stop = False
        self.reload = False
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def catch_signals(self) -> None:
        """Makes SIGTERM and SIGINT set `stop`, and SIGHUP set `reload`; call it in the main thread."""

        def stop(*_: object) -> None:
            self.stop = True

        def reload(*_: object) -> None:
            self.reload = True

        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, reload)

    def wait(self, due: float, lines: Iterable[int]) -> None:
        """Sleeps until `due` on the monotonic clock, a call of `wake`, a signal, or a message on one of the `lines`."""
        ends = select.poll()  # select() takes no descriptor above 1023, and many watches need more
        for descriptor in (self._read, *lines):
            ends.register(descriptor, select.POLLIN)
        spoken = dict(ends.poll(1000 * max(0.0, due - time.monotonic())))
        if self._read in spoken:
            os.read(self._read, PIPE)

    def wake(self) -> None:
        """Ends the sleep, from any thread."""
        with suppress(BlockingIOError):  # a full pipe wakes the loop too
            os.write(self._write, b".")
