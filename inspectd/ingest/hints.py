"""Hints: paths to look at, handed from the observers' threads to the thread that calls `tick`.

Lost hints are harmless: the scan finds the files. So the number of hints is bounded.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

log = logging.getLogger(__name__)

MOST_HINTS = 20_000  # kept at a time; a folder with more hints is scanned instead


@dataclass(frozen=True, slots=True)
class Hint:
    """What events have said about a path."""

    closed: bool  # its writer is done
    event: bool  # inotify said it, not a poll

    def __or__(self, other: "Hint") -> "Hint":
        return Hint(self.closed or other.closed, self.event or other.event)


class Hints:
    """The hints of one watch. Thread-safe and bounded."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._paths: dict[str, Hint] = {}
        self._lost = False

    def __len__(self) -> int:
        return len(self._paths) + self._lost

    def put(self, path: str, hint: Hint) -> None:
        """Adds a hint about this relative path."""
        with self._lock:
            first = not self._paths
            if path in self._paths or len(self._paths) < MOST_HINTS:
                self._paths[path] = self._paths.get(path, hint) | hint
            else:
                self._lost = True
        if first:
            self._call()

    def lose(self) -> None:
        """Records that unknown events were lost."""
        with self._lock:
            self._lost = True
        self._call()

    def take(self, limit: int) -> tuple[dict[str, Hint], bool]:
        """Removes and returns up to `limit` hints, the oldest first, and whether events were lost."""
        with self._lock:
            paths = {path: self._paths.pop(path) for path in list(islice(self._paths, limit))}
            lost, self._lost = self._lost, False
        return paths, lost

    def _call(self) -> None:
        try:
            self._wake()
        except (
            Exception
        ):  # an error would end the observer's thread; without the wake-up the next tick only comes later
            log.exception("The main loop could not be woken.")
