"""The wheel carries everything an installed inspectd needs: migrations, the sample configuration, the demo model."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(target.glob("*.whl"))


def test_the_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Laid out and run from the unpacked wheel alone, in a folder that knows nothing of the checkout."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}

    def inspectd(*arguments: str) -> str:
        command = [sys.executable, "-m", "inspectd", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = subprocess.run(
        [sys.executable, "-c", "import inspectd; print(inspectd.__file__)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(site)
    inspectd("init", "line")
    assert "demo" in inspectd("config", "check", "--config", "line/config.yaml")
    subprocess.run(
        [sys.executable, "-c", "from inspectd.ledger.database import upgrade; upgrade('sqlite:///line/inspectd.db')"],
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    assert inspectd("results", "--config", "line/config.yaml", "--json").strip() == "[]"
