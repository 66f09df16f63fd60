"""`worker:` changed in the text: what is set means that and nothing else, and every other line stays."""

import difflib
from pathlib import Path

import pytest

from inspectd.config import load, set_worker
from inspectd.errors import ConfigError
from inspectd.resources import resource

TOP = """\
# Ours. Do not touch!
database: sqlite:///inspectd.db
output: output   # on the big disk
watch:
  - {name: line, path: incoming, model: models/demo}
"""
WANTED: dict[str, int | str] = {"batch": 8, "threads": 3, "precision": "bfloat16"}


def changed(file: Path, text: str) -> list[str]:
    """Set what is wanted; the lines that differ, with + or -."""
    file.write_bytes(text.encode())
    set_worker(file, WANTED)
    worker = load(file).worker
    assert (worker.batch, worker.threads, worker.precision) == (8, 3, "bfloat16")
    new = file.read_bytes().decode()
    return [line for line in difflib.ndiff(text.splitlines(True), new.splitlines(True)) if line[0] in "+-"]


def test_the_shipped_file_has_its_commented_lines_set(tmp_path: Path) -> None:
    text = resource("config.yaml").read_text()
    assert changed(tmp_path / "config.yaml", text) == [
        *("-   #batch: 16\n", "+   batch: 8\n"),
        *("-   #threads: null\n", "+   threads: 3\n"),
        *("-   #precision: auto\n", "+   precision: bfloat16\n"),
    ]


@pytest.mark.parametrize(
    ("section", "differences"),
    [
        ("", ["+ worker:\n", "+   batch: 8\n", "+   threads: 3\n", "+   precision: bfloat16\n"]),
        (
            "worker:\n    batch: 16  # was 4\n    threads:\n    # as before\n    precision: 'float32'\nsidecar: true\n",
            [
                *("-     batch: 16  # was 4\n", "+     batch: 8  # was 4\n"),
                *("-     threads:\n", "+     threads: 3\n"),
                *("-     precision: 'float32'\n", "+     precision: bfloat16\n"),
            ],
        ),
        (
            "worker:\r\n   # the second one\r\n   device: cpu\r\n",
            ["+    batch: 8\r\n", "+    threads: 3\r\n", "+    precision: bfloat16\r\n"],
        ),
        ("worker: {batch: 1, threads: 1, precision: auto}", None),
    ],
)
def test_every_other_line_stays(tmp_path: Path, section: str, differences: list[str] | None) -> None:
    found = changed(tmp_path / "config.yaml", TOP + section)
    if differences is not None:
        assert found == differences


@pytest.mark.parametrize("section", ["worker: {device: cpu}\n", "worker: &w\n  batch: 2\n---\n"])
def test_what_cannot_be_changed_is_said_and_left(tmp_path: Path, section: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(TOP + section)
    with pytest.raises(ConfigError):
        set_worker(file, WANTED)
    assert file.read_text() == TOP + section


def test_a_link_stays_a_link_and_the_file_keeps_its_mode(tmp_path: Path) -> None:
    real = tmp_path / "site" / "config.yaml"
    real.parent.mkdir()
    real.write_bytes(b"\xef\xbb\xbf" + TOP.encode())
    real.chmod(0o640)
    link = tmp_path / "config.yaml"
    link.symlink_to(real)
    set_worker(link, {"batch": 4})
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert real.read_bytes().startswith(b"\xef\xbb\xbf# Ours")
    assert load(link).worker.batch == 4
