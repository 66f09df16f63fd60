"""What an outcome leaves behind outside the ledger: the names of its files, its sidecar, its small heatmap."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from inspectd.ledger.records import Claim, Failed, Heat, Inspected
from inspectd.ledger.schema import State

HEAT_STORED = 32  # cells a side, at most, of the heatmap that the ledger keeps
STEM_BYTES = 80  # of the source's name, in the names of its files
_ARTIFACT = re.compile(r".*-(\d{1,18})-([0-9a-f]{8})(\.jpg|\.png|\.json)", re.DOTALL)


@dataclass(frozen=True)
class Artifact:
    """What the name of a file in `output` says: the image's id, the first digits of the model, the suffix."""

    image_id: int
    model: str
    suffix: str

    @classmethod
    def of(cls, name: str) -> Self | None:
        """None for a name that `artifact_path` does not give."""
        found = _ARTIFACT.fullmatch(name)
        return cls(int(found[1]), found[2], found[3]) if found else None


def artifact_path(claim: Claim, model: str, suffix: str) -> Path:
    """``{watch}/{day seen}/{stem}-{image id}-{model 8}``, relative to `output`.

    It depends on nothing but the image and the model, so that a retry, even after midnight, overwrites its own.
    """
    stem = Path(claim.path).stem.encode()[:STEM_BYTES].decode(errors="ignore")
    safe = "".join(char if char.isprintable() else "_" for char in stem)
    return Path(claim.watch, claim.seen_at[:10], f"{safe}-{claim.image_id}-{model}{suffix}")


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
    rows = -(-heat.shape[0] // HEAT_STORED)
    columns = -(-heat.shape[1] // HEAT_STORED)
    padded = np.pad(np.nan_to_num(heat), ((0, -heat.shape[0] % rows), (0, -heat.shape[1] % columns)))
    small = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns).max(axis=(1, 3))
    top = float(small.max())
    cells = np.zeros(small.shape, np.uint8) if top <= 0 else np.round(small * (255 / top)).astype(np.uint8)
    return Heat(cells.tobytes(), small.shape[1], small.shape[0], max(top, 0.0))
