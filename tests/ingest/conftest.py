"""A bench for ingest: a watched folder, a real ledger, and a clock that only the test moves."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inspectd.config import LimitSettings, Watch
from inspectd.domain import Stat
from inspectd.ingest.intake import Intake
from inspectd.ledger.database import open_writer, upgrade
from inspectd.ledger.records import Claim, Outcome
from inspectd.ledger.write.queue import Queue
from inspectd.paths import to_text

PATIENCE = 60.0  # seconds after which a test gives up; nothing is judged by it
SETTLE = 2.0
LONG = "d" * 254


class Bench:
    """`folder` is watched by the watch `line`; `outside` lies beside it on the same disk."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "incoming"
        self.outside = root / "outside"
        self.folder.mkdir()
        self.outside.mkdir()
        url = f"sqlite:///{root / 'inspectd.db'}"
        upgrade(url)
        self.engine = open_writer(url)
        self.queue = Queue(self.engine)
        self.now = 1000.0
        self.enqueued: list[int] = []
        self._woken = threading.Event()
        self.wake = self._woken.set
        self._intakes: list[Intake] = []
        self.intake: Intake

    def watch(self, **keys: Any) -> Watch:
        return Watch(**{"name": "line", "path": self.folder, "model": Path("model"), "settle": SETTLE, **keys})

    def start(self, *watches: Watch, observe: bool = True, stalled: float = 600.0, **keys: Any) -> Intake:
        """Start an intake and let it finish its first scan."""
        self.intake = Intake(
            watches or [self.watch(**keys)],
            LimitSettings(stalled=stalled),
            self.queue,
            self.wake,
            observe=observe,
            on_enqueued=self.enqueued.append,
        )
        self._intakes.append(self.intake)
        self.intake.start()
        self.run()
        return self.intake

    def run(self, seconds: float = 0.0) -> None:
        """Move the clock, and tick until nothing more is due at that moment."""
        self.now += seconds
        while self.intake.tick(self.now) <= self.now:
            pass

    def arrives(self, path: str) -> None:
        """Wait for word of a file, and move the clock only while something settles, until the file is queued."""
        while not self.is_known(path):
            self.until(lambda: self.is_known(path) or not self.intake.quiet(), f"word of {path}")
            while not self.intake.quiet():
                self.run(SETTLE)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Let the observers speak, and tick without moving the clock, until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        self.run()
        while not condition():
            assert self._woken.wait(deadline - time.monotonic()), f"not within {PATIENCE:.0f} s: {what}"
            self._woken.clear()
            self.run()

    def is_known(self, path: str, watch: str = "line") -> bool:
        """Whether the ledger has this file as it is now, as something that needs no further look."""
        try:
            stat = Stat.of((self.folder / path).stat())
        except FileNotFoundError:
            return False
        return bool(self.queue.arrivals.known(watch, [(to_text(path), stat)]))

    def dig(self) -> int:
        """Make folders so deep that not even root can read the last, for its path is too long; a handle of it."""
        handle = os.open(self.folder, os.O_RDONLY)
        for _ in range(16):
            os.mkdir(LONG, dir_fd=handle)
            inner = os.open(LONG, os.O_RDONLY, dir_fd=handle)
            os.close(handle)
            handle = inner
        return handle

    def fill_up(self) -> None:
        """Give the first of these folders a shorter name, so that the last can be read."""
        (self.folder / LONG).rename(self.folder / "d")

    def claim(self, *watches: str) -> list[Claim]:
        return self.queue.claims.take("worker", watches or ["line"], 100_000, 3600.0)

    def finish(self, *outcomes: Outcome) -> None:
        model = self.queue.register_model("0" * 64, "null", 1, ["ok", "ng"], {})
        assert len(self.queue.outcomes.finish("worker", model, outcomes)) == len(outcomes)

    def closed(self, path: str) -> bool:
        """Whether the ledger knows that the writer of this file is done."""
        with self.engine.connect() as connection:
            said = connection.exec_driver_sql("select closed from images where path = ?", (to_text(path),)).scalar_one()
        return bool(said)

    def rows(self) -> dict[str, tuple[str, str | None]]:
        """State and reason by path; fails if a path has two rows."""
        with self.engine.connect() as connection:
            rows = connection.exec_driver_sql("select path, state, reason from images").fetchall()
        assert len({path for path, _, _ in rows}) == len(rows)
        return {path: (state, reason) for path, state, reason in rows}

    def close(self) -> None:
        for intake in self._intakes:
            intake.stop()
        self.engine.dispose()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()
