"""What an outcome leaves behind outside the ledger: its sidecar, its small heatmap."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspectd.ledger.records import Failed, Heat, Inspected
from inspectd.ledger.schema import State
from inspectd.vision.heat import block_maxima

HEAT_STORED = 32  # cells a side, at most, of the heatmap that the ledger keeps


def outcome_of(outcome: Inspected | Failed) -> str:
    """The verdict, or ``failed``."""
    return outcome.verdict if isinstance(outcome, Inspected) else State.FAILED


def sidecar(outcome: Inspected | Failed, output: Path) -> bytes:
    """What a PLC or MES reads: the same keys for every outcome, null where a failure has nothing to say."""
    claim = outcome.claim
    inspected = outcome if isinstance(outcome, Inspected) else None
    record = {
        "verdict": outcome_of(outcome),
        "reason": outcome.reason,
        "label": inspected and inspected.label,
        "score": inspected and inspected.score,
        "part": claim.part,
        "watch": claim.watch,
        "path": claim.path,
        "overlay": str(output / inspected.overlay) if inspected and inspected.overlay else None,
        "sha256": outcome.sha256,
    }
    return json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n"


def stored_heat(heat: NDArray[np.float32]) -> Heat:
    """The heatmap as the ledger keeps it: at most 32×32 cells of uint8, 255 standing for its maximum.

    Args:
        heat: float32 (h, w), ≥ 0. Larger maps are reduced by the maximum of each block, which keeps thin cracks.
    """
    rows, columns = (-(-side // HEAT_STORED) for side in heat.shape)
    small = block_maxima(np.nan_to_num(heat), rows, columns)
    top = float(small.max())
    cells = np.zeros(small.shape, np.uint8) if top <= 0 else np.round(small * (255 / top)).astype(np.uint8)
    return Heat(cells.tobytes(), small.shape[1], small.shape[0], max(top, 0.0))
