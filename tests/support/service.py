"""The installed service inside a box: its site, its state as systemd tells it, and its journal."""

import io
import json
import re
import tarfile
import time
from collections.abc import Mapping
from typing import Any

import yaml
from support.box import CHECKOUT, Box
from support.site import until

UNIT = "inspectd.service"
STATE = "/var/lib/inspectd"
SITE = f"{STATE}/line1"
PYTHON = "/opt/inspectd/current/bin/python"
BUNDLE = "import sys; from pathlib import Path; from inspectd.model.null import *; write_null_bundle(Path(sys.argv[1]))"
CLEAN = f"""\
systemctl kill --signal=KILL {UNIT} 2>/dev/null || true  # quicker than a polite end, and just as good
systemctl stop {UNIT}
rm -rf /etc/systemd/system/{UNIT}.d {SITE}/*.db* {SITE}/archive {SITE}/models/null
find {SITE}/incoming {SITE}/output -mindepth 1 -delete
umask 007
[ -d /run/null ] || {PYTHON} -c '{BUNDLE}' /run/null
cp -r /run/null {SITE}/models/null
chown -R inspectd:inspectd {SITE}/models/null
systemctl daemon-reload
systemctl reset-failed
"""
SELECT = """\
import json, sqlite3, sys
with sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True) as ledger:
    print(json.dumps(ledger.execute(sys.argv[2]).fetchall()))
"""


def typed(section: str, block: int = 0) -> list[str]:
    """The lines to type in a block of commands of a section of docs/deployment.md."""
    text = (CHECKOUT / "docs" / "deployment.md").read_text()
    found = re.search(rf"^## {re.escape(section)}.*?(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    blocks = re.findall(r"^```sh\n(.*?)^```", found[0], re.DOTALL | re.MULTILINE) if found else []
    assert len(blocks) > block, f"docs/deployment.md has no such commands in {section}"
    return blocks[block].splitlines()


class Service:
    """`inspectd.service` with the null network and one watch, on which alice of its group drops images."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self._began = 0.0

    def clean(self) -> None:
        """Stopped, without drop-ins, without images and ledger, configured for the null network."""
        self.box.ask("sh", "-e", "-c", CLEAN)
        self.configure()
        self._began = time.time()

    def configure(self, watch: Mapping[str, Any] | None = None, **top: Any) -> None:
        first = {"name": "line", "path": "incoming", "model": "models/null", "settle": 0.2, **(watch or {})}
        document = {"database": "sqlite:///inspectd.db", "output": "output", "watch": [first], **top}
        self.box.write(f"{SITE}/config.yaml", yaml.safe_dump(document))

    def drop_in(self, *lines: str) -> None:
        self.box.write(f"/etc/systemd/system/{UNIT}.d/test.conf", "\n".join(["[Service]", *lines, ""]))
        self.box.ask("systemctl", "daemon-reload")

    def start(self) -> None:
        """Returns when the service is ready, as `systemctl start` does."""
        self.box.ask("systemctl", "start", UNIT)

    def show(self, key: str) -> str:
        """A property, see systemctl(1): ActiveState, SubState, Result, StatusText, NRestarts, ExecMainStatus …"""
        return self.box.ask("systemctl", "show", UNIT, "--property", key, "--value")

    def becomes(self, key: str, value: str) -> None:
        until(lambda: self.show(key) == value, f"{key} becomes {value}")

    def says(self, text: str) -> str:
        """Wait until the status line contains `text`; the line."""
        until(lambda: text in self.show("StatusText"), f"the status says {text!r}")
        return self.show("StatusText")

    def supervisor(self) -> int | None:
        """Its process id on this machine."""
        processes = self.box.processes(UNIT)
        return next((each for each, line in processes.items() if "run" in line), None)

    def worker(self) -> int | None:
        processes = self.box.processes(UNIT)
        return next((each for each, line in processes.items() if "worker" in line), None)

    def drop(self, images: Mapping[str, bytes]) -> None:
        """Alice copies images into the watch."""
        with io.BytesIO() as packed:
            with tarfile.open(fileobj=packed, mode="w") as archive:
                for name, data in images.items():
                    entry = tarfile.TarInfo(name)
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
            unpack = ("tar", "-x", "--touch", "--no-same-permissions", "-C", f"{SITE}/incoming")
            self.box.ask(*unpack, user="alice", given=packed.getvalue())

    def rows(self, sql: str, user: str = "alice") -> list[list[Any]]:
        """Ask the ledger with nothing of inspectd, as another user."""
        found = self.box.ask("/usr/bin/python3", "-c", SELECT, f"{SITE}/inspectd.db", sql, user=user)
        return list(json.loads(found))

    def outcomes(self, count: int) -> dict[str, str]:
        """Wait until as many images have their outcome; the verdict of each path. None may be judged twice."""
        sql = "select path, verdict from verdicts where verdict != 'pending'"
        until(lambda: len(self.rows(sql)) >= count, f"{count} outcomes")
        rows = self.rows(sql)
        assert len(rows) == len({path for path, _ in rows}), f"a path has two rows: {sorted(rows)}"
        assert self.rows("select count(*) from inspections") == [[len(rows)]], "an image was judged twice"
        return dict(rows)

    def journal(self, *options: str) -> list[dict[str, str]]:
        """What the service and systemd said of it since the test began."""
        lines = self.box.ask("journalctl", "-o", "json", "-u", UNIT, f"--since=@{self._began:.6f}", *options)
        return [json.loads(line) for line in lines.splitlines()]

    def messages(self, *options: str) -> str:
        return "\n".join(entry["MESSAGE"] for entry in self.journal(*options))
