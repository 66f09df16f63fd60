"""A disk that fills while a model is trained: a sentence, nothing half-written, and on it goes when there is room."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.mounts import Space

CHOICES = [*["--recipe", "compact", "--size", "48", "--epochs", "3", "--batch", "8", "--precision", "float32"]]


@pytest.mark.long
def test_a_disk_that_fills_while_training(data: Path, tmp_path: Path, space: Space) -> None:
    """The first state has room, the second does not beside it, and then there is room for everything."""
    models = tmp_path / "models"
    models.mkdir()
    space.tmpfs(models, "size=1m")

    def train(*more: str) -> subprocess.CompletedProcess[str]:
        program = "from inspectd.cli.main import main; main()"
        command = [sys.executable, "-c", program, "train", str(data), "--out", str(models / "bars"), *CHOICES, *more]
        return subprocess.run([*space.enter, *command], capture_output=True, text=True, env=os.environ)

    ran = train()
    assert (ran.returncode, ran.stderr) == (
        1,
        f"inspectd: {models}/.bars.training: course.part cannot be written: No space left on device. Make room there "
        "and go on with --resume.\n",
    )
    kept = space.path(models)
    assert [str(path.relative_to(kept)) for path in kept.rglob("*")] == [".bars.training", ".bars.training/course.npz"]

    space.tmpfs(models, "remount,size=16m")
    ran = train("--resume")
    assert ran.returncode == 0, ran.stderr
    assert "Continues after 1 epochs." in ran.stdout
    assert sorted(path.name for path in kept.iterdir()) == ["bars"]
