"""What an outcome leaves behind outside the ledger: its sidecar, its small heatmap."""

import json
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inspectd.ledger.records import Failed, Heat, Inspected
from inspectd.ledger.schema import State
from inspectd.vision.heat import block_maxima

HEAT_STORED = 32  # cells a side, at most, of the heatmap that the ledger keeps


def outcome_of(outcome: Inspected | Failed) -> str:
    """The verdict, or ``failed``."""
    return outcome.verdict if isinstance(outcome, Inspected) else State.FAILED


class SidecarImage(Protocol):
    """What a sidecar says about the image itself."""

    @property
    def part(self) -> str | None: ...
    @property
    def watch(self) -> str: ...
    @property
    def path(self) -> str: ...


class SidecarVerdict(Protocol):
    """What a sidecar says about a verdict; `overlay` is relative to `output`."""

    @property
    def label(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def overlay(self) -> str | None: ...


def sidecar(outcome: Inspected | Failed, output: Path) -> bytes:
    """The sidecar of an outcome that a worker has just found."""
    verdict = outcome if isinstance(outcome, Inspected) else None
    return sidecar_json(outcome.claim, outcome_of(outcome), outcome.reason, outcome.sha256, verdict, output)


def sidecar_json(
    image: SidecarImage,
    outcome: str,
    reason: str | None,
    sha256: str | None,
    verdict: SidecarVerdict | None,
    output: Path,
) -> bytes:
    """What a PLC or MES reads: the same keys for every outcome, null where a failure has nothing to say.

    Args:
        outcome: The verdict, or ``failed``.
        verdict: None for a failure.
    """
    record = {
        "verdict": outcome,
        "reason": reason,
        "label": verdict.label if verdict else None,
        "score": verdict.score if verdict else None,
        "part": image.part,
        "watch": image.watch,
        "path": image.path,
        "overlay": str(output / verdict.overlay) if verdict and verdict.overlay else None,
        "sha256": sha256,
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
