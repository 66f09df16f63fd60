"""`inspectd demo` as a user starts it: the real daemon, the real model, a real terminal's Ctrl-C."""

import fcntl
import io
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from rich.console import Console
from typer.testing import CliRunner

from inspectd.cli.demo import _View
from inspectd.cli.main import app
from inspectd.demo.camera import Shot
from inspectd.ledger.read.search import Row
from inspectd.rehearsal.arrivals import in_place


def command(folder: Path, images: int) -> list[str]:
    return [sys.executable, "-m", "inspectd", "demo", "--dir", str(folder), "--images", str(images)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "place"


@pytest.fixture(scope="module")
def shown(folder: Path) -> str:
    """What a first demo printed; it must have succeeded."""
    ended = subprocess.run(command(folder, 14), capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stdout + ended.stderr + (folder / "daemon.log").read_text()
    return ended.stdout


def test_every_file_has_exactly_one_outcome(shown: str, folder: Path) -> None:
    assert "Each of the 16 files has exactly one outcome." in shown
    with sqlite3.connect(folder / "inspectd.db") as ledger:
        rows = ledger.execute("select path, verdict, reason from verdicts").fetchall()
    dropped = {path.name for path in (folder / "incoming").iterdir()}
    assert len(rows) == len(dropped) == 16
    assert {path for path, _, _ in rows} == dropped
    assert sorted(reason.split(":")[0] for _, verdict, reason in rows if verdict == "failed") == [
        "not an image",
        "truncated",
    ]
    assert {verdict for _, verdict, _ in rows} == {"ok", "defect", "failed"}


def test_it_ends_with_pictures_and_the_commands_to_ask_further(shown: str, folder: Path) -> None:
    sheet = cv2.imread(str(folder / "contact-sheet.png"))
    assert sheet is not None
    assert min(sheet.shape[:2]) > 500
    commands = [line.strip() for line in shown.splitlines() if line.startswith("  ") and "inspectd results" in line]
    assert len(commands) == 1
    found = subprocess.run(commands[0], shell=True, capture_output=True, text=True, timeout=30)
    assert found.returncode == 0, found.stderr
    assert "defect" in found.stdout


def test_a_second_demo_begins_afresh_and_an_interrupt_ends_it_in_good_order(shown: str, folder: Path) -> None:
    assert shown
    running = subprocess.Popen(command(folder, 100), stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    with running.stdout as lines:
        for line in lines:
            if line.lstrip().startswith("1/102"):
                break
        running.send_signal(signal.SIGINT)
        rest = lines.read()
    assert running.wait(60) == 130
    assert "The daemon is stopped" in rest
    assert " events: stop: " in (folder / "daemon.log").read_text().splitlines()[-1]
    with (folder / "inspectd.db.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if any daemon still holds it
    with sqlite3.connect(folder / "inspectd.db") as ledger:
        assert ledger.execute("select count(*) from events where kind = 'start'").fetchone() == (1,)


def test_a_folder_that_is_not_its_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    ended = CliRunner().invoke(app, ["demo", "--dir", str(tmp_path)])
    assert ended.exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_a_folder_whose_daemon_still_runs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".inspectd-demo").touch()
    (tmp_path / "inspectd.db").touch()
    (tmp_path / "inspectd.db.lock").touch()
    with (tmp_path / "inspectd.db.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = CliRunner().invoke(app, ["demo", "--dir", str(tmp_path)])
    assert ended.exit_code == 1
    assert (tmp_path / "inspectd.db").exists()


def test_the_live_view_shows_outcomes_counts_and_what_happens() -> None:
    view = _View()
    view.say("The daemon is ready.")
    for number in range(1, 31):
        name = f"{4700 + number}_cam1.png"
        row = Row(number, "ok", None, None, "demo", name, name[:4], None, "ok", 0.25, "m@1", None, None)
        view.show(Shot(name, "OK", "good", b"", in_place), row, number, 40)
    console = Console(file=io.StringIO(), width=100)
    console.print(view)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("30/40", "30 ok", "images/s", "4730_cam1.png", "0.250", "The daemon is ready."):
        assert text in shown
    assert "4701_cam1.png" not in shown
