"""A site for whole-daemon tests: folders, a null bundle, a configuration, and the real daemon as a process."""

import contextlib
import json
import os
import queue
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from support.mounts import Space

from inspectd.model.null import write_null_bundle

SELECT = """\
import json, sqlite3, sys
with sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True) as ledger:
    print(json.dumps(ledger.execute(sys.argv[2]).fetchall()))
"""
PATIENCE = 120.0  # seconds after which a test gives up; nothing is judged by it
BRIGHT, DARK = 220, 30  # a defect and an OK image to the null network


def picture(level: int, size: int = 32, seed: int = 0) -> bytes:
    """A PNG of one brightness, with noise so that every seed has content of its own."""
    noise = np.random.default_rng([seed, level]).integers(-20, 20, (size, size))
    return cv2.imencode(".png", np.clip(level + noise, 0, 255).astype(np.uint8))[1].tobytes()


def deep_picture(level: int, bits: int, seed: int = 0) -> bytes:
    """The same picture with values of so many bits, unshifted in a 16-bit PNG."""
    values = cv2.imdecode(np.frombuffer(picture(level, seed=seed), np.uint8), cv2.IMREAD_GRAYSCALE)
    return cv2.imencode(".png", values.astype(np.uint16) << (bits - 8))[1].tobytes()


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for what another process does; a short poll, because it has no event to give us."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.02)
    return value


@dataclass
class Site:
    """A working folder, and the daemons that run on it; in a `space`, disks can be mounted on its folders."""

    root: Path
    daemons: list["Daemon"] = field(default_factory=list)
    space: Space | None = None
    within: list[str] = field(default_factory=list)  # a command that runs the daemon's
    ledger: str = "inspectd.db"  # relative to the root

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def incoming(self) -> Path:
        return self.root / "incoming"

    def write(self, watch: dict[str, Any] | None = None, **top: Any) -> None:
        """Write the configuration: one watch `line` on `incoming`, settling fast, over the null bundle."""
        first = {"name": "line", "path": "incoming", "model": "models/null", "settle": 0.2, **(watch or {})}
        document = {"database": f"sqlite:///{self.ledger}", "output": "output", "watch": [first], **top}
        self.config.write_text(yaml.safe_dump(document))

    def seen(self, path: Path) -> Path:
        """How this process calls a file that the daemons know by `path`."""
        return self.space.path(path) if self.space else path

    def drop(self, name: str, data: bytes) -> Path:
        """Bring a file in as a careful camera does: under a temporary name, then renamed."""
        path = self.seen(self.incoming) / name
        part = path.with_name(path.name + ".part")
        part.write_bytes(data)
        return part.rename(path)

    def start(self, *arguments: str) -> "Daemon":
        daemon = Daemon(self, *arguments)
        self.daemons.append(daemon)
        return daemon

    def refuse(self, daemon: "Daemon") -> None:
        """Have a daemon refuse a reload for a mistake in the configuration, which is then as it was."""
        whole = self.config.read_text()
        self.config.write_text(f"{whole}limts: {{}}\n")
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: self.rows("select 1 from events where kind = 'reload-refused'"), "the refusal")
        self.config.write_text(whole)

    def rows(self, sql: str = "select path, verdict from verdicts order by path") -> list[tuple[Any, ...]]:
        """Ask the ledger as any user would: read-only, beside the running daemon."""
        if self.space:  # SQLite resolves links, and from out here it would look at another disk
            command = [*self.space.enter, sys.executable, "-c", SELECT, str(self.root / self.ledger), sql]
            found = subprocess.run(command, capture_output=True)
            return list(map(tuple, json.loads(found.stdout))) if found.returncode == 0 else []
        try:
            with sqlite3.connect(f"file:{self.seen(self.root / self.ledger)}?mode=ro", uri=True) as connection:
                return connection.execute(sql).fetchall()
        except sqlite3.OperationalError:
            return []

    def outcomes(self, count: int) -> dict[str, str]:
        """Wait until `count` images have their outcome; the verdict of each path."""
        sql = "select path, verdict from verdicts where verdict != 'pending'"
        until(lambda: len(self.rows(sql)) >= count, f"{count} outcomes")
        rows = self.rows(sql)
        assert len(dict(rows)) == len(rows), f"a path has two rows: {sorted(rows)}"
        return dict(rows)


class Daemon:
    """`inspectd run` as a process, with a notification socket to await what it says to systemd."""

    def __init__(self, site: Site, *arguments: str) -> None:
        address = site.root / f"notify-{len(site.daemons)}"
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(str(address))
        self._heard: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.log = site.root / f"daemon-{len(site.daemons)}.log"
        enter = [*(site.space.enter if site.space else []), *site.within]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*enter, sys.executable, "-m", "inspectd", "run", "--config", str(site.config), *arguments],
                env={**os.environ, "NOTIFY_SOCKET": str(address)},
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def heard(self, text: str) -> str:
        """Wait for a notice that contains `text`; the whole notice."""
        while True:
            try:
                notice = self._heard.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"never heard {text!r}: {self.log.read_text()}") from None
            if text in notice:
                return notice

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # closed at the end of the test
            while True:
                self._heard.put(self.notices.recv(65536).decode())

    def worker(self) -> int:
        """The process id of the newest worker child, once there is one."""
        return int(until(self.workers, "a worker process")[-1])

    def workers(self) -> list[int]:
        """The process ids of all worker children, the oldest first."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(child) for child in children.read_text().split()]

    def ends(self) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(PATIENCE)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ends()

    def kill(self) -> None:
        """SIGKILL, and make sure that its worker is gone too."""
        self.process.kill()
        self.process.wait()


def stopped(worker: int, site: Site) -> bool:
    """Stop a worker, unless it has the ledger's lock in its hands just then."""
    os.kill(worker, signal.SIGSTOP)
    with contextlib.closing(sqlite3.connect(site.root / "inspectd.db", timeout=1, isolation_level=None)) as ledger:
        try:
            ledger.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            os.kill(worker, signal.SIGCONT)
            return False
        ledger.execute("ROLLBACK")
    return True


def with_work_in_hand(daemon: Daemon, site: Site) -> int:
    """Stop the worker while it holds images; its process id."""
    worker = daemon.worker()

    def caught() -> bool:
        if not stopped(worker, site):
            return False
        if site.rows("select 1 from images where state = 'claimed'"):
            return True
        os.kill(worker, signal.SIGCONT)
        return False

    until(caught, "a worker that stands still with images in hand")
    return worker


@contextlib.contextmanager
def laid_out(root: Path) -> Iterator[Site]:
    """A site in an empty folder, ready for daemons; none of them outlives the block."""
    site = Site(root)
    site.incoming.mkdir()
    write_null_bundle(root / "models" / "null")
    site.write()
    try:
        yield site
    finally:
        for daemon in site.daemons:
            if daemon.process.poll() is None:
                daemon.kill()
            daemon.notices.close()
