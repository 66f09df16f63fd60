"""Draws a missing overlay again: the same bytes, the same model, the same method of heat. The verdict stands."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from inspectd.config import Config
from inspectd.domain import Method
from inspectd.ledger.records import Redraw
from inspectd.model.explanation import explain
from inspectd.model.inspector import Inspector
from inspectd.vision.decode import DecodeError, Pages
from inspectd.vision.overlay import Style
from inspectd.worker.source import SourceError, read_again

log = logging.getLogger(__name__)


def redrawn(
    config: Config, inspectors: Mapping[int, Inspector], wanted: Iterable[Redraw]
) -> Iterator[tuple[Path, bytes]]:
    """Yields the overlays as files to write; logs and leaves out those that cannot be drawn.

    Args:
        inspectors: The models in service, by their rows in the ledger.
    """
    for each in wanted:
        inspector = inspectors.get(each.model_id)
        try:
            if inspector is None:
                raise SourceError("no model: the model that judged it is not in service")
            picture = _draw_again(config, inspector, each)
        except (SourceError, DecodeError, MemoryError) as error:
            log.warning("Watch %s: the overlay of %r cannot be drawn again: %s", each.watch, each.path, error)
        else:
            yield config.output / each.overlay, picture


def _draw_again(config: Config, inspector: Inspector, wanted: Redraw) -> bytes:
    source = read_again(config, wanted.watch, wanted.path, wanted.moved_to, wanted.sha256)
    bits = inspector.bundle.spec.preparation.bits
    pages, page = Pages(source.data, config.limits.pixels, bits), wanted.page or 1
    image = pages.decode(page)
    method = cast(Method, wanted.method)  # a worker wrote it
    (finding,) = inspector.inspect([inspector.prepare(image.samples)], [method])
    chosen = config.overlay.model_dump(exclude={"write"})
    style = Style(**chosen | {"format": "png" if wanted.overlay.endswith(".png") else "jpeg"})
    return explain(finding, image.size, image.doubt, page, len(pages), wanted.support).picture(image.pixels, style)
