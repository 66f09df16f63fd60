"""The past judged again by another model: what a person asks for goes on the list that the daemon works off."""

import time
from dataclasses import dataclass
from functools import reduce
from operator import add

from sqlalchemy import Engine

from inspectd.config import Config
from inspectd.ledger.database import open_writer
from inspectd.ledger.read.filters import Filter
from inspectd.ledger.read.search import image_ids
from inspectd.ledger.records import ReinspectionCounts
from inspectd.ledger.transactions import REST, chunks
from inspectd.ledger.write.queue import Queue
from inspectd.model.bundle import Bundle, load_bundle
from inspectd.model.catalog import named
from inspectd.paths import to_text
from inspectd.service.locks import holder


@dataclass(frozen=True)
class ReinspectionReply:
    """What became of a request, and the process that will see to it; None while no daemon serves the ledger."""

    bundle: Bundle
    asked: ReinspectionCounts
    daemon: int | None


def reinspect(config: Config, engine: Engine, model: str, wanted: Filter) -> ReinspectionReply:
    """Put the images that a filter names on the list for a model: a bundle, a folder of versions, or a name.

    It may be repeated: what is on the list, or judged by this model already, is not put there twice.

    Args:
        engine: The ledger, for reading.

    Raises:
        BundleError: the model cannot be found, or is not what its manifest says.
    """
    bundle = load_bundle(named(model, [watch.model for watch in config.watch]))
    path = to_text(str(bundle.path.absolute()))
    queue = Queue(open_writer(config.database))
    pages = []
    for chunk in chunks(reversed(image_ids(engine, wanted))):
        pages.append(queue.reinspections.add(bundle.identity, path, chunk))
        time.sleep(REST)
    asked = reduce(add, pages, ReinspectionCounts())
    if asked.listed:
        queue.event("reinspect", f"{bundle.title} is asked to judge {asked.listed} earlier images again")
    return ReinspectionReply(bundle, asked, serving(config))


def cancel(config: Config, model: str | None) -> int:
    """Take off the list what waits for a model, or for any; returns how many images."""
    bundle = load_bundle(named(model, [watch.model for watch in config.watch])) if model else None
    queue = Queue(open_writer(config.database))
    waited = queue.reinspections.cancel(bundle.identity if bundle else None)
    if waited:
        by = f" by {bundle.title}" if bundle else ""
        queue.event("reinspect", f"{waited} earlier images are not to be judged again{by}")
    return waited


def serving(config: Config) -> int | None:
    """The process id of the daemon that serves the ledger; None if none does."""
    return holder(config.lock_file)
