"""Decides from the files of a watch whether events arrive there, without a test file of our own.

A file was *missed by events* if a scan or a poll found it, if no event named it by the time it was whole, and if
nothing excuses that. Pure logic: it only counts and decides. It must never decide whether a file is there: events are
hints, and a file that they missed counts like any other.
"""

ENOUGH = 5  # files; one or two can lose a race, but a fault shows five within minutes
MEMORY = 86_400.0  # seconds after which a missed file no longer counts: a few in a year are not a fault


class Evidence:
    """What the files of one watch show about its events.

    Args:
        quiet: Seconds without a missed file after which new events prove that events arrive again.
    """

    def __init__(self, quiet: float) -> None:
        self._quiet = quiet
        self._suspects: set[str] = set()  # found without an event and not yet whole
        self._missed: dict[str, float] = {}  # the times, by path; no more than are needed
        self._named: set[str] = set()  # since the last missed file; no more than are needed
        self._last_missed = float("-inf")
        self._heard = True
        self.missed = 0  # files in all; only ever grows

    def found(self, path: str) -> None:
        """Records that a scan or a poll found this file before any event, although an event was due."""
        self._suspects.add(path)

    def named(self, path: str) -> None:
        """Records that an event named this file, perhaps late."""
        self._suspects.discard(path)
        self._missed.pop(path, None)
        if len(self._named) < ENOUGH:
            self._named.add(path)

    def gone(self, path: str) -> None:
        """Forgets a file that ingest no longer waits for."""
        self._suspects.discard(path)

    def is_suspect(self, path: str) -> bool:
        """Whether no event has named this file, and one was due."""
        return path in self._suspects

    def miss(self, path: str, now: float) -> None:
        """Records that this suspect has become whole and is new to the ledger."""
        self._suspects.discard(path)
        self.missed += 1
        self._last_missed = now
        self._named.clear()
        if len(self._missed) < ENOUGH:
            self._missed[path] = now

    def excuse(self) -> None:
        """Excuses all files found so far, because events were lost for a known reason."""
        self._suspects.clear()
        self._missed.clear()

    def arrive(self, now: float) -> bool:
        """Whether events arrive. They do not after `ENOUGH` missed files. They do again when as many files were named
        since the last missed file, which must be `quiet` seconds ago."""
        self._missed = {path: when for path, when in self._missed.items() if now - when < MEMORY}
        if self._heard:
            self._heard = len(self._missed) < ENOUGH
        elif len(self._named) >= ENOUGH and now - self._last_missed >= self._quiet:
            self._missed.clear()
            self._heard = True
        return self._heard
