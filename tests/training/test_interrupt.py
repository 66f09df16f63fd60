"""Ctrl-C in a training that a person started."""

import signal
import subprocess
import sys
from pathlib import Path


def test_what_was_learned_is_said_to_be_kept(data: Path, tmp_path: Path) -> None:
    model = tmp_path / "bars"
    command = [sys.executable, "-m", "inspectd", "train", str(data), "--out", str(model), "--recipe", "compact"]
    command += ["--size", "32", "--batch", "8", "--validation", "0.3", "--test", "0"]
    with subprocess.Popen([*command, "--epochs", "500"], stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None
        next(line for line in training.stdout if line.startswith("Epoch 2:"))
        training.send_signal(signal.SIGINT)
        rest = training.stdout.read()
    assert (training.returncode, model.exists()) == (130, False)
    assert "the same command with --resume goes on" in rest
