"""The program as a whole: help, version, exit codes, errors as sentences, quiet ends, and what it does not import."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inspectd import __version__
from inspectd.cli.main import COMMANDS, app
from inspectd.model.null import write_null_bundle

CONFIG = "database: sqlite:///inspectd.db\noutput: output\nwatch: [{name: a, path: in, model: models/demo}]\n"


def inspectd(*arguments: str, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the real program."""
    return subprocess.run(
        [sys.executable, "-m", "inspectd", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_version() -> None:
    done = inspectd("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"inspectd {__version__}\n", "")


def test_help_groups_every_command_but_the_hidden_one() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    for name, entry in COMMANDS.items():
        assert bool(re.search(rf"^│ {name} ", shown.output, re.MULTILINE)) == (entry.panel is not None)
    panels = [shown.output.index(f"─ {panel} ─") for panel in ("Set up", "Inspect", "Look up")]
    assert panels == sorted(panels)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"])
    assert shown.exit_code == 0
    assert f"Usage: inspectd {name}" in shown.output


def test_a_wrong_command_is_wrong_usage_and_the_right_one_is_suggested() -> None:
    done = CliRunner().invoke(app, ["resluts"])
    assert done.exit_code == 2
    assert "Did you mean 'results'?" in done.output


def test_a_configuration_error_is_a_sentence_a_line_and_exit_78(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG + "sidecar: maybe\nlimts: {}\n")
    done = inspectd("config", "check", cwd=tmp_path)
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "inspectd: config.yaml, line 4: sidecar is 'maybe'; it must be true or false.",
        "inspectd: config.yaml, line 5: limts is not a known key; perhaps limits is meant.",
    ]


def test_an_error_of_the_program_shows_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import inspectd.config\ninspectd.config.load = lambda path: 1 / 0\n"  # a bug, as it might be one day
    )
    (tmp_path / "config.yaml").write_text(CONFIG)
    done = inspectd("config", "check", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_what_the_machine_refuses_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, inspectd.config\n"
        "def load(path): raise PermissionError(13, os.strerror(13), 'models/demo')\n"
        "inspectd.config.load = load\n"
    )
    (tmp_path / "config.yaml").write_text(CONFIG)
    done = inspectd("config", "check", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "inspectd: models/demo: Permission denied.\n")


def test_a_full_disk_behind_standard_output_is_a_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "inspectd", "config", "schema"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"inspectd: No space left on device.\n")


def test_a_reader_that_leaves_early_ends_the_program_quietly() -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "inspectd", "config", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout
    assert program.stderr
    program.stdout.close()  # before a byte is written
    assert program.stderr.read() == b""
    assert program.wait() == 0


def test_a_name_that_the_terminal_cannot_show_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "Prüfung.yaml").write_text(CONFIG)
    (tmp_path / "in").mkdir()
    write_null_bundle(tmp_path / "models" / "demo")
    done = inspectd("config", "check", "-c", "Prüfung.yaml", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert r"Pr\xfcfung.yaml is right." in done.stdout


@pytest.mark.parametrize("name", ["status", "results", "show", "stats", "config", "db", "init"])
def test_commands_that_look_up_import_nothing_heavy(name: str) -> None:
    code = (
        "import sys\n"
        "from inspectd.cli.main import load_command\n"
        f"load_command({name!r})\n"
        "import inspectd.config, inspectd.cli.output\n"
        f"if {name!r} in ('status', 'results', 'show', 'stats', 'db'):\n"
        "    import inspectd.ledger.read.search, inspectd.ledger.database, inspectd.ledger.read.status\n"
        "    import inspectd.ledger.backup\n"
        "print(*sorted({'tensorflow', 'keras', 'numpy', 'cv2', 'PIL', 'alembic', 'watchdog'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
