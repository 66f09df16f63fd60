"""Puts earlier images on the list from which the daemon has them judged again by another model."""

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
    """The result of a request; `daemon`: the process that works off the list, None while there is none."""

    bundle: Bundle
    asked: ReinspectionCounts
    daemon: int | None


def reinspect(config: Config, engine: Engine, model: str, wanted: Filter) -> ReinspectionReply:
    """Puts the images that match a filter on the list for a model: a bundle, a folder of versions, or a name.

    It may be repeated: images that are on the list, or that this model has judged, are not added again.

    Args:
        engine: The ledger, for reading.

    Raises:
        BundleError: the model cannot be found, or does not match its manifest.
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
    """Removes the images that wait for a model, or for any, from the list; returns how many."""
    bundle = load_bundle(named(model, [watch.model for watch in config.watch])) if model else None
    queue = Queue(open_writer(config.database))
    waited = queue.reinspections.cancel(bundle.identity if bundle else None)
    if waited:
        by = f" by {bundle.title}" if bundle else ""
        queue.event("reinspect", f"{waited} earlier images were removed from the list{by}")
    return waited


def serving(config: Config) -> int | None:
    """The process id of the daemon that serves the ledger; None if there is none."""
    return holder(config.lock_file)
