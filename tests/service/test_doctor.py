"""`inspectd doctor`: a healthy site, and each thing that may be wrong with one, made wrong once."""

import json
import subprocess
import sys
from typing import Any

from support.site import Site

from inspectd.ledger.schema import REVISION


def ask(site: Site, *before: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the findings, as `before` (nsenter, setpriv) has it run."""
    command = [*before, sys.executable, "-m", "inspectd", "doctor", "--json", "-c", str(site.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def bad(found: list[dict[str, Any]], check: str) -> list[dict[str, Any]]:
    return [finding for finding in found if finding["check"] == check and finding["state"] != "ok"]


def test_a_fresh_site_is_well_and_nothing_is_left_behind(site: Site) -> None:
    before = sorted(site.root.rglob("*"))
    code, found = ask(site)
    assert code == 0
    assert sorted(site.root.rglob("*")) == before
    assert [line["check"] for line in found if line["state"] == "FAULT"] == []
    assert {"folders", "disks", "space", "events", "limits", "ledger", "models", "clock"} <= {
        line["check"] for line in found
    }
    [events] = [line for line in found if line["check"] == "events"]
    assert events["found"] == "inotify: the event of a file made here arrived"


def test_beside_a_running_daemon_and_after_it(site: Site) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    code, found = ask(site)
    assert code == 0
    said = {line["subject"]: line["found"] for line in found if line["check"] in ("daemon", "ledger")}
    assert said[str(site.root / "inspectd.db")].startswith(f"schema {REVISION}, ")
    assert [line["found"] for line in found if line["check"] == "daemon"] == [f"served by process {daemon.process.pid}"]
    assert said["last start of the daemon"] != "never"
    assert daemon.stop() == 0
    assert [line["found"] for line in ask(site)[1] if line["check"] == "daemon"] == ["no daemon serves it now"]


def test_a_configuration_that_cannot_be_read(site: Site) -> None:
    site.config.write_text("watch: []\n")
    command = [sys.executable, "-m", "inspectd", "doctor", "-c", str(site.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (78, "")
    assert len(done.stderr.splitlines()) == 3  # every mistake
