"""Hints: paths to look at, handed from the observers' threads to the thread that ticks.

A hint only makes us look sooner; whatever is missed here is found by the scan. So hints are bounded in number.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

log = logging.getLogger(__name__)

MOST_HINTS = 20_000  # kept at a time; a folder with more news than that is scanned instead


@dataclass(frozen=True, slots=True)
class Hint:
    """What has been said of a path."""

    closed: bool  # its writer is done
    event: bool  # inotify said it, not a poll

    def __or__(self, other: "Hint") -> "Hint":
        return Hint(self.closed or other.closed, self.event or other.event)


class Hints:
    """Paths to look at, handed from the observer's threads to the thread that ticks. Thread-safe and bounded."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._paths: dict[str, Hint] = {}
        self._lost = False

    def __len__(self) -> int:
        return len(self._paths) + self._lost

    def put(self, path: str, hint: Hint) -> None:
        """Something was said of this relative path."""
        with self._lock:
            first = not self._paths
            if path in self._paths or len(self._paths) < MOST_HINTS:
                self._paths[path] = self._paths.get(path, hint) | hint
            else:
                self._lost = True
        if first:
            self._call()

    def lose(self) -> None:
        """Events were lost, nobody knows which."""
        with self._lock:
            self._lost = True
        self._call()

    def take(self, limit: int) -> tuple[dict[str, Hint], bool]:
        """What was said of up to `limit` of the paths, the first ones first; and whether events were lost."""
        with self._lock:
            paths = {path: self._paths.pop(path) for path in list(islice(self._paths, limit))}
            lost, self._lost = self._lost, False
        return paths, lost

    def _call(self) -> None:
        try:
            self._wake()
        except Exception:  # it would end the observer's thread; without a wake the next tick merely comes later
            log.exception("The main loop could not be woken.")
