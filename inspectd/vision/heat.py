"""Shrinks heat without losing small hot spots."""

import numpy as np
from numpy.typing import NDArray


def block_maxima(heat: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """The maximum of each block of `rows` × `columns` cells of (h, w); averaging would lose a thin crack."""
    padded = np.pad(heat, ((0, -heat.shape[0] % rows), (0, -heat.shape[1] % columns)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)
    return np.asarray(blocks.max(axis=(1, 3)), np.float32)
