"""Do events arrive? What becomes of the files of a watch says so, and no file of our own has to be dropped there.

A file that a scan or a poll found, that nothing excuses and that no event has named by the time it is whole was
*missed by events*. Pure logic: it counts and judges; others see to it that events are had in another way. It must
never be asked whether a file is there: events are hints, and a file that they missed is as good as any.
"""

ENOUGH = 5  # files; one or two can lose a race, and a line that has a fault shows five within minutes
MEMORY = 86_400.0  # seconds after which a missed file proves nothing any more: a few in a year are no fault


class Evidence:
    """What the files of one watch tell of its events.

    Args:
        quiet: Seconds without a missed file after which events that came prove that they arrive again.
    """

    def __init__(self, quiet: float) -> None:
        self._quiet = quiet
        self._suspects: set[str] = set()  # found without an event and not yet whole
        self._missed: dict[str, float] = {}  # when, by path; no more than are needed
        self._named: set[str] = set()  # since the last one was missed; no more than are needed
        self._last_missed = float("-inf")
        self._heard = True
        self.missed = 0  # files in all; only ever grows

    def found(self, path: str) -> None:
        """A scan or a poll came upon this file before any event, though an event was due."""
        self._suspects.add(path)

    def named(self, path: str) -> None:
        """An event named this file, be it late."""
        self._suspects.discard(path)
        self._missed.pop(path, None)
        if len(self._named) < ENOUGH:
            self._named.add(path)

    def gone(self, path: str) -> None:
        """This file is no longer waited for."""
        self._suspects.discard(path)

    def is_suspect(self, path: str) -> bool:
        """Whether no event has named this file, and one was due."""
        return path in self._suspects

    def miss(self, path: str, now: float) -> None:
        """This suspect has become whole, and is new to the ledger."""
        self._suspects.discard(path)
        self.missed += 1
        self._last_missed = now
        self._named.clear()
        if len(self._missed) < ENOUGH:
            self._missed[path] = now

    def excuse(self) -> None:
        """Events were lost for a reason that is known: what was found without them until now proves nothing."""
        self._suspects.clear()
        self._missed.clear()

    def arrive(self, now: float) -> bool:
        """Whether events arrive. They no longer do when `ENOUGH` files were missed; and they do again when as many were
        named since the last file was missed, which is `quiet` seconds ago."""
        self._missed = {path: when for path, when in self._missed.items() if now - when < MEMORY}
        if self._heard:
            self._heard = len(self._missed) < ENOUGH
        elif len(self._named) >= ENOUGH and now - self._last_missed >= self._quiet:
            self._missed.clear()
            self._heard = True
        return self._heard
