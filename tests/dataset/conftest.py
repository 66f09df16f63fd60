"""Small grey images, every one another."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest


def write_images(folder: Path, count: int, seed: int, side: int = 16) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        cv2.imwrite(str(folder / f"{index:03}.png"), rng.integers(0, 256, (side, side), np.uint8))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder per class, with so many images: `make(ok=20, bar=12)`."""

    def make(**counts: int) -> Path:
        for seed, (name, count) in enumerate(counts.items()):
            write_images(tmp_path / "data" / name, count, seed)
        return tmp_path / "data"

    return make
