"""What came of a simulation: the audit, the faults that were made, and how fast it went."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inspectd.simulate.audit import Audit, Expected

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class SimulationReport:
    """The end of a simulation.

    Attributes:
        dropped: How many contents were dropped, by what may rightly become of them.
        faults: How often each kind of fault was made.
        not_made: Why a kind of fault was not made.
        seconds: From the first file to the last outcome.
        broken: What went wrong besides the audit's promises, as sentences.
        kept: Where the site lies; None if it was removed.
    """

    audit: Audit
    dropped: Counter[Expected]
    faults: Counter[str]
    not_made: dict[str, str]
    seconds: float
    broken: tuple[str, ...]
    kept: Path | None
    seed: int

    @property
    def kept_promises(self) -> bool:
        return not self.broken and not any(self.audit.promises.values())

    @property
    def outcomes(self) -> int:
        """Verdicts and failures."""
        return self.audit.verdicts.total() + self.audit.failures.total()

    @property
    def per_second(self) -> float:
        return self.outcomes / max(self.seconds, 1e-3)

    @property
    def latency(self) -> dict[str, float | None]:
        """Seconds from whole file to verdict; None where nothing was judged."""
        found = self.audit.latencies
        return {f"p{n}": round(float(np.percentile(found, n)), 3) if found else None for n in PERCENTILES}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "promises_kept": self.kept_promises,
            "dropped": self.dropped.total(),
            "dropped_by_fate": dict(self.dropped),
            "verdicts": dict(self.audit.verdicts),
            "failures": dict(self.audit.failures),
            **{name: len(paths) for name, paths in self.audit.promises.items()},
            "paths": {name: list(paths) for name, paths in self.audit.promises.items() if paths},
            "broken": list(self.broken),
            "latency_s": self.latency,
            "images_per_second": round(self.per_second, 2),
            "seconds": round(self.seconds, 1),
            "faults": dict(self.faults),
            "faults_not_made": self.not_made,
            "seed": self.seed,
            "site": str(self.kept) if self.kept else None,
        }
