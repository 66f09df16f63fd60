"""The intake of all watches: enqueues every file once, when it is whole. Each watch has a `Gate` of its own.

Everything runs in the thread that calls `Intake.tick`; the observers' threads only leave hints and call `wake`.
"""

from collections.abc import Callable, Sequence

from inspectd.config import LimitSettings, Watch
from inspectd.ingest.gate import CHECK, Counters, Gate
from inspectd.ingest.left_out import LeftOut
from inspectd.ingest.watchdogs import OverflowListener
from inspectd.ledger.write.queue import Queue

SLICE = 0.05  # the most seconds that one tick works, for all watches together


class Intake:
    """The intake of all watches. One thread calls all its methods.

    Args:
        wake: Is called, from any thread, when `tick` should be called soon.
        observe: False to find files only by scanning, as `run --once` does.
        on_enqueued: Is called with the number of images that a transaction has put into the queue, if any.
    """

    def __init__(
        self,
        watches: Sequence[Watch],
        limits: LimitSettings,
        queue: Queue,
        wake: Callable[[], None],
        *,
        observe: bool = True,
        on_enqueued: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._gates = {watch.name: Gate(watch, limits, queue, wake, on_enqueued, observe) for watch in watches}
        self._overflow = OverflowListener(self._overflowed)

    def start(self) -> None:
        """Starts the observers, so that events name every file that arrives after the first scan, which is due now."""
        self._overflow.start()
        for gate in self._gates.values():
            gate.tend()

    def tick(self, now: float) -> float:
        """Does what is due, for at most about `SLICE` seconds, and returns when to call again (`now`: at once).

        If the disk of a watch fails, that is logged once and tried again; the other watches go on.

        Args:
            now: Seconds on any clock that never runs backwards.

        Raises:
            Exception: the ledger failed. Nothing is lost: the next tick scans again.
        """
        share = SLICE / max(1, len(self._gates))
        return min((gate.tick(now, share) for gate in self._gates.values()), default=now + CHECK)

    def stop(self) -> None:
        """Stops the observers. The scan of the next start finds the files that were not whole yet."""
        self._overflow.stop()
        for gate in self._gates.values():
            gate.observer.stop()

    def quiet(self) -> bool:
        """Whether every watch has been scanned completely since `start` and ingest waits for no file. Stalled files and
        missing folders do not count. Rows that workers return are seen within a second."""
        return all(gate.is_quiet() for gate in self._gates.values())

    @property
    def backends(self) -> dict[str, str]:
        """How each watch is observed, by its name: ``inotify``, ``polling`` (with the reason if it was added to
        inotify), or ``folder missing``."""
        return {
            name: "folder missing" if gate.observer.missing else gate.observer.standing
            for name, gate in self._gates.items()
        }

    @property
    def counters(self) -> dict[str, Counters]:
        """The counters of each watch, by its name."""
        return {name: gate.counters for name, gate in self._gates.items()}

    @property
    def left_out(self) -> dict[str, LeftOut | None]:
        """What the last complete scan of each watch left out, by its name; None before the first scan."""
        return {name: gate.left_out for name, gate in self._gates.items()}

    @property
    def stalled(self) -> int:
        """How many files are not whole after `limits.stalled` seconds and still watched."""
        return sum(gate.settler.stalled for gate in self._gates.values())

    @property
    def missing(self) -> list[str]:
        """The names of the watches whose folder is not there."""
        return [name for name, gate in self._gates.items() if gate.observer.missing]

    def _overflowed(self) -> None:
        for gate in self._gates.values():
            if gate.observer.backend == "inotify":
                gate.hints.lose()
