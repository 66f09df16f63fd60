"""A folder of images that the compact network learns in seconds."""

from pathlib import Path

import pytest
from support.bars import write_images


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_images(tmp_path / "data" / "ok", 20, 0, seed=1)
    write_images(tmp_path / "data" / "bar", 12, 1, seed=2)
    return tmp_path / "data"
