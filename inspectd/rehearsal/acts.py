"""Acts that take time, all in one thread: an act is a generator that yields the seconds until it wants to go on."""

from collections.abc import Iterator

Act = Iterator[float]


class Acts:
    """The acts under way."""

    def __init__(self) -> None:
        self._due: dict[Act, float] = {}

    def __len__(self) -> int:
        return len(self._due)

    def begin(self, act: Act | None, now: float) -> None:
        """Takes an act's first step; None stands for an act that is over already."""
        if act is not None:
            self._due[act] = now
            self._step(act, now)

    def advance(self, now: float) -> None:
        """Takes the next step of every act that is due (`now`: monotonic seconds)."""
        for act in [act for act, due in self._due.items() if due <= now]:
            self._step(act, now)

    def close(self) -> None:
        """Breaks off every act, which lets go of what it holds (a stopped process, a mount, a lock)."""
        while self._due:
            act, _ = self._due.popitem()
            close = getattr(act, "close", None)
            if close:
                close()

    def _step(self, act: Act, now: float) -> None:
        try:
            self._due[act] = now + next(act)
        except StopIteration:
            del self._due[act]
