"""What the supervisor tells a worker, as events that its loop can wait for."""

import os
import threading

from inspectd.worker.channel import Channel, Settings, Stop, Wake


class Line:
    """The worker's end of the line to its supervisor: `stop` and `wake` as events, `say` for what it reports."""

    def __init__(self, channel: Channel) -> None:
        settings = channel.receive()
        if not isinstance(settings, Settings):
            raise AssertionError(f"the supervisor speaks first of settings, not of {settings}")
        self.settings = settings
        self.stop = threading.Event()
        self.wake = threading.Event()
        self.say = channel.send
        self.hang_up = channel.hang_up
        self._channel = channel
        threading.Thread(target=self._listen, daemon=True, name="supervisor-line").start()

    def _listen(self) -> None:
        while True:
            try:
                message = self._channel.receive()
            except EOFError:
                os._exit(0)  # crash only: without a supervisor nobody renews our leases
            if isinstance(message, Stop):
                self.end()
            if isinstance(message, Wake):
                self.wake.set()

    def end(self) -> None:
        """Let what is in hand be the last."""
        self.stop.set()
        self.wake.set()
