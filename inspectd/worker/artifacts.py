"""The files that an outcome leaves in `output`: their names, and what a sidecar says."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from inspectd.ledger.records import Failed, Inspected
from inspectd.ledger.schema import State

STEM_BYTES = 80  # of the source's name, in the names of its files
_ARTIFACT = re.compile(r".*-(\d{1,18})-([0-9a-f]{8})(\.jpg|\.png|\.json)", re.DOTALL)


class Named(Protocol):
    """The parts of an image that go into the names of its files."""

    @property
    def image_id(self) -> int: ...
    @property
    def watch(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def seen_at(self) -> str: ...


@dataclass(frozen=True)
class Artifact:
    """The name of a file in `output`, taken apart: the image's id, the first digits of the model, the suffix."""

    image_id: int
    model: str
    suffix: str

    @classmethod
    def of(cls, name: str) -> Self | None:
        """Takes a name apart; None for a name that `artifact_path` does not give."""
        found = _ARTIFACT.fullmatch(name)
        return cls(int(found[1]), found[2], found[3]) if found else None


def artifact_path(image: Named, model: str, suffix: str) -> Path:
    """``{watch}/{day seen}/{stem}-{image id}-{model 8}``, relative to `output`.

    It depends only on the image and the model, so that a retry, even after midnight, overwrites its own file.
    """
    stem = Path(image.path).stem.encode()[:STEM_BYTES].decode(errors="ignore")
    safe = "".join(char if char.isprintable() else "_" for char in stem)
    return Path(image.watch, image.seen_at[:10], f"{safe}-{image.image_id}-{model}{suffix}")


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
    @property
    def support(self) -> float | None: ...


def sidecar(outcome: Inspected | Failed, output: Path) -> bytes:
    """Returns the sidecar of a new outcome."""
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
    """Returns the sidecar that a PLC or MES reads: the same keys for every outcome, null for what a failure lacks.

    Args:
        outcome: The verdict, or ``failed``.
        verdict: None for a failure.
    """
    record = {
        "verdict": outcome,
        "reason": reason,
        "label": verdict.label if verdict else None,
        "score": verdict.score if verdict else None,
        "support": verdict.support if verdict else None,
        "part": image.part,
        "watch": image.watch,
        "path": image.path,
        "overlay": str(output / verdict.overlay) if verdict and verdict.overlay else None,
        "sha256": sha256,
    }
    return json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n"
