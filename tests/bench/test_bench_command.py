"""`inspectd bench` as it is typed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from inspectd.bench.report import CLAIM, END_TO_END, HOST, LATENCY
from inspectd.config import load
from inspectd.model.null import write_null_bundle


def bench(temporary: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "inspectd", "bench", *arguments],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=110,
    )


def test_tune_measures_the_configured_model_and_writes_what_it_proposes(tmp_path: Path) -> None:
    write_null_bundle(tmp_path / "models" / "mine", name="mine")
    file = tmp_path / "config.yaml"
    watch = {"name": "line", "path": "incoming", "model": "models/mine"}
    document = {"database": "sqlite:///inspectd.db", "output": "output", "watch": [watch]}
    file.write_text(f"# Ours.\n{yaml.safe_dump(document)}")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = bench(temporary, "--tune", "-c", str(file), "--minutes", "0.03", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["model"]["title"].startswith("mine@")
    measured = {line["name"] for line in report["lines"]}
    left_out = {sentence.partition(":")[0] for sentence in report["left_out"]}
    assert "network" in left_out
    for stage, name in (("host path", HOST), ("ledger", CLAIM), ("end to end", END_TO_END), ("latency", LATENCY)):
        assert (name in measured) != (stage in left_out), report
    assert load(file).worker.threads == report["proposal"]["threads"]
    assert file.read_text().startswith("# Ours.\n")
    assert list(temporary.iterdir()) == []


def test_a_model_has_its_own_size(tmp_path: Path) -> None:
    done = bench(tmp_path, "--model", "anything", "--size", "64")
    assert done.returncode == 2
    assert "own size" in done.stderr
