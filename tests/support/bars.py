"""A data set that the compact network learns in seconds: grey noise, and the same with a white bar."""

from pathlib import Path

import cv2
import numpy as np

SIDE = 48


def write_images(folder: Path, count: int, bars: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        image = rng.integers(60, 140, (SIDE, SIDE), np.uint8)
        for row in rng.integers(4, SIDE - 8, bars):
            image[row : row + 4, 8:40] = 250
        cv2.imwrite(str(folder / f"{index:03}.png"), image)
