"""One bundle in service, with everything that its images go through."""

from dataclasses import dataclass

from inspectd.model.inspector import Inspector
from inspectd.worker.batch import Pipeline
from inspectd.worker.brightness import Brightness
from inspectd.worker.opening import Opened


@dataclass(frozen=True)
class Lane:
    """One bundle with the watches it judges."""

    opened: Opened
    pipeline: Pipeline
    model_id: int
    watches: list[str]
    brightness: Brightness

    @property
    def inspector(self) -> Inspector:
        return self.opened.inspector
