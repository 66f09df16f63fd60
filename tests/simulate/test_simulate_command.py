"""`inspectd simulate` as an engineer runs it: real daemons, real kills, and nothing left behind."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.site import until

from inspectd.simulate.fault_plan import SimulationOptions, plan
from inspectd.simulate.faults import OTHERS, disk_full, kill_supervisor, kill_worker, worker_hung


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "inspectd", "simulate", *arguments]


def simulate(temporary: Path, *arguments: str, timeout: float) -> dict[str, Any]:
    """The report of a simulation that must have kept every promise."""
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        command("--json", *arguments), env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["promises_kept"]
    return report


def test_a_short_run_with_a_kill_of_each_accounts_for_every_file(tmp_path: Path) -> None:
    report = simulate(tmp_path, "--count", "45", "--rate", "15", "--kills", "2", timeout=110)
    assert report["dropped"] == 45
    assert report["faults"] == {"kill_worker": 1, "kill_supervisor": 1}
    assert set(report["faults_not_made"]) == {fault.__name__ for fault in (*OTHERS, worker_hung)}
    expected = report["dropped_by_fate"]
    assert sum(report["verdicts"].values()) >= expected["judged"]
    assert report["failures"]["truncated"] >= 1
    assert report["failures"]["not an image"] >= 1
    assert 0 < report["latency_s"]["p50"] <= report["latency_s"]["p99"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_promise_that_broke_is_named_and_the_site_stays(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    arguments = ("--json", "--count", "10", "--rate", "20", "--kills", "0")
    running = subprocess.Popen(command(*arguments), env=environment, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    until(lambda: next(tmp_path.glob("*/output/line/*/*.jpg"), None), "an overlay").unlink()
    report = json.loads(running.stdout.read())
    running.stdout.close()
    assert running.wait(60) == 1
    assert not report["promises_kept"]
    assert report["overlays_missing"] == len(report["paths"]["overlays_missing"]) == 1
    assert report["lost"] == report["duplicated"] == report["truncated_but_judged"] == 0
    assert (Path(report["site"]) / "daemon.log").exists()


def test_an_interrupt_leaves_nothing_running_and_no_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    running = subprocess.Popen(command("--count", "100"), env=environment, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    with running.stdout as lines:
        assert any("The daemon is ready" in line for line in iter(lines.readline, ""))  # after lines of a slow start
        running.send_signal(signal.SIGINT)
        assert "Interrupted" in lines.read()
    assert running.wait(60) == 130
    assert list(tmp_path.iterdir()) == []
    until(lambda: not serving(tmp_path), "no process of the simulation is left")


def serving(folder: Path) -> list[str]:
    """The command lines of processes that name something in this folder."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(line.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [line for line in found if str(folder) in line]


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    done = subprocess.run(command("--count", "10", "--dir", str(tmp_path)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_the_plan_has_the_kills_and_every_fault_and_says_what_it_leaves_out() -> None:
    faults, not_made = plan(SimulationOptions(10_000, 7.0, 200, 1), random.Random(1))
    assert faults.count(kill_worker) == 160
    assert faults.count(kill_supervisor) == 40
    assert [faults.count(fault) for fault in (*OTHERS, worker_hung)] == [4, 4, 4, 4, 4, 2]
    assert not_made == {}
    faults, not_made = plan(SimulationOptions(300, 7.0, 1, 1, no_disk="nobody may mount"), random.Random(1))
    assert disk_full not in faults
    assert not_made == {"disk_full": "nobody may mount"}


@pytest.mark.long
@pytest.mark.timeout(400)
def test_every_fault_once(tmp_path: Path) -> None:
    report = simulate(tmp_path, "--count", "300", "--kills", "4", timeout=380)
    made = set(report["faults"]) | set(report["faults_not_made"])
    assert made == {fault.__name__ for fault in (*OTHERS, worker_hung, kill_worker, kill_supervisor)}
    assert set(report["faults_not_made"]) <= {"disk_full"}
    assert list(tmp_path.iterdir()) == []
