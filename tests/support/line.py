"""A worker's line to a supervisor that does not exist."""

import threading
from typing import Any

from inspectd.worker.channel import Settings


class StubLine:
    """A line to nobody, which counts what is said."""

    def __init__(self) -> None:
        self.settings = Settings("", "me", 4, 60.0)
        self.stop = threading.Event()
        self.wake = threading.Event()
        self.said = 0

    def say(self, _: Any) -> None:
        self.said += 1
