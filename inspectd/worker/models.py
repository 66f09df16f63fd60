"""The bundles that a worker serves: each is verified, opened, warmed, and recorded in the ledger."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from inspectd.config import Config
from inspectd.ledger.records import Replay
from inspectd.ledger.write.queue import Queue
from inspectd.model.bundle import Bundle, load_bundle
from inspectd.model.choices import Choices
from inspectd.model.inspector import Inspector
from inspectd.model.loading import open_inspector
from inspectd.paths import database_file

log = logging.getLogger(__name__)

CHOICES = "precisions.json"  # beside the ledger: which precision passed the proof


@dataclass(frozen=True)
class Opened:
    """A model that can judge; `slowest`: seconds of its slowest warm-up batch."""

    inspector: Inspector
    slowest: float

    def at_once(self, batch: int) -> int:
        """How many images to take at once, if `batch` of them fill a call of the network.

        A large image in tiles fills it by itself, and several of them would fill the memory.
        """
        return 1 if self.inspector.bundle.spec.tiles else batch


def open_model(config: Config, path: Path, batch: int, alive: Callable[[], None] = lambda: None) -> Opened:
    """Opens a bundle with the settings of the configuration, and runs every batch size up to `batch` once.

    Args:
        alive: Is called as the work goes on.

    Raises:
        InspectdError: the bundle or the device cannot be used.
    """
    bundle, worker = load_bundle(path), config.worker
    choices = Choices(database_file(config.database).with_name(CHOICES))
    inspector = open_inspector(bundle, worker.device, worker.precision, worker.method, choices, alive)
    for remark in inspector.remarks:
        log.warning("%s", remark)
    return Opened(inspector, inspector.warm_up(batch))


def register(queue: Queue, bundle: Bundle) -> int:
    """Records a bundle that is about to judge; returns the id of its row in the ledger."""
    spec = bundle.spec
    classes = [each.name for each in spec.classes]
    replay = Replay(tuple(each.ok for each in spec.classes), spec.activation, asdict(spec.calibration))
    return queue.register_model(bundle.identity, spec.name, spec.version, classes, spec.metrics, replay)
