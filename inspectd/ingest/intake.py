"""The intake of all watches: every file is enqueued once, when it is whole. Each watch has a `Gate` of its own.

All of it runs in the thread that calls `Intake.tick`; the observers' threads only leave hints and call `wake`.
"""

from collections.abc import Callable, Sequence

from inspectd.config import LimitSettings, Watch
from inspectd.ingest.gate import CHECK, Counters, Gate
from inspectd.ingest.left_out import LeftOut
from inspectd.ingest.watchdogs import OverflowListener
from inspectd.ledger.write.queue import Queue

SLICE = 0.05  # seconds that one tick works at most, all watches together


class Intake:
    """The intake of all watches. One thread calls everything here but `wake`, which this calls from any thread.

    Args:
        wake: Called, from any thread, when `tick` should be called soon.
        observe: False to find files by scanning only, as a run that ends by itself does.
        on_enqueued: Called with the number of images that a transaction put in the queue, if any.
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
        """Bring the observers up, so that nothing that comes after the first scan is missed. That scan is due now."""
        self._overflow.start()
        for gate in self._gates.values():
            gate.tend()

    def tick(self, now: float) -> float:
        """Do what is due, for about `SLICE` seconds at most, and say when to call again (`now`: at once).

        A watch whose disk fails is logged once and tried again, and holds up no other.

        Args:
            now: Seconds on any clock that never runs backwards.

        Raises:
            Exception: The ledger failed. Nothing is lost: the next tick scans anew.
        """
        share = SLICE / max(1, len(self._gates))
        return min((gate.tick(now, share) for gate in self._gates.values()), default=now + CHECK)

    def stop(self) -> None:
        """End the observers. What was not yet whole is found again by the next start's scan."""
        self._overflow.stop()
        for gate in self._gates.values():
            gate.observer.stop()

    def quiet(self) -> bool:
        """Whether every watch has been scanned wholly since `start` and no file is waited for. Stalled files are not
        waited for, nor is a folder that is `missing`. Rows that workers put back are seen within a second."""
        return all(gate.is_quiet() for gate in self._gates.values())

    @property
    def backends(self) -> dict[str, str]:
        """``inotify`` or ``polling`` by the watch's name; where polling had to be added to inotify, with the reason;
        ``folder missing`` where there is nothing to observe."""
        return {
            name: "folder missing" if gate.observer.missing else gate.observer.standing
            for name, gate in self._gates.items()
        }

    @property
    def counters(self) -> dict[str, Counters]:
        """By the watch's name."""
        return {name: gate.counters for name, gate in self._gates.items()}

    @property
    def left_out(self) -> dict[str, LeftOut | None]:
        """What the last whole scan of each watch left out, by the watch's name; None before the first."""
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
