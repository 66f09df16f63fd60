"""`inspectd show`: everything about one image: was it inspected, with what outcome, and why?"""

import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inspectd.cli.lookup import open_ledger, overlay_path
from inspectd.cli.options import ConfigOption, JsonOption
from inspectd.cli.output import local_time, printable, say, write_json
from inspectd.errors import InspectdError
from inspectd.paths import from_text, to_text

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from inspectd.config import Config
    from inspectd.ledger.read.search import Detail, Row

_OVERLAY = re.compile(r"-(\d+)-[0-9a-f]{8}\.(?:jpg|png|json)$")


def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ID|FILE|PART",
            help="An image's id, a part, or a file: where it was dropped, where it was moved to, or its overlay.",
        ),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print everything that is known about an image: was it inspected, with what outcome, and why."""
    settings, engine = open_ledger(config)
    from inspectd.cli.explain import MOST, facts, sentence, summary

    details = find(engine, settings, what)
    if not details:
        raise InspectdError(
            f"Nothing is known of '{to_text(what)}': no image has this id, part or name in {settings.database_file}."
        )
    if as_json:
        write_json(_record(settings, detail, sentence(detail)) for detail in details)
        return
    if len(details) > 1:
        say(summary(to_text(what), details))
        say("")
    for detail in details[:MOST]:
        say(sentence(detail))
        others = _same_name(engine, detail)
        for name, value in facts(detail, overlay_path(settings, detail.row), source_now(settings, detail), others):
            print(f"  {name:<11} {printable(value)}")  # noqa: T201
        say("")


def find(engine: "Engine", config: "Config", what: str) -> "list[Detail]":
    """Finds the images of this path, id, part or name, the newest first."""
    from inspectd.ledger.read.search import show as query

    path = Path(os.path.abspath(what))  # noqa: PTH100  # `..` goes, links stay: they may be the watch's own
    if os.sep in what or os.path.lexists(path):
        for watch in config.watch:
            for base, file in ((watch.path, path), (watch.path.resolve(), path.parent.resolve() / path.name)):
                if file.is_relative_to(base):
                    found = query(engine, to_text(file.relative_to(base).as_posix()), watch.name)
                    if found:
                        return found
        moved = [each for each in query(engine, to_text(path.name)) if each.moved_to == to_text(str(path))]
        if moved:
            return moved
        if drawn := _OVERLAY.search(path.name):
            return [each for each in query(engine, drawn[1]) if _is_drawn_at(config, each.row, path)]
    for text in dict.fromkeys((to_text(what), what)):  # a name as it is, or as a command printed it
        found = query(engine, text)
        if found:
            return found
    return []


def source_now(config: "Config", detail: "Detail") -> str:
    """Where the dropped file is now."""
    from inspectd.domain import Stat

    if detail.after == "deleted":
        return "deleted after its verdict"
    if detail.after == "expired":
        return f"moved to {detail.moved_to}, and removed by retention since"
    if detail.after == "moved" and detail.moved_to:
        there = os.path.lexists(from_text(detail.moved_to))
        return f"moved to {detail.moved_to}" + ("" if there else ", and no longer there")
    folder = next((watch.path for watch in config.watch if watch.name == detail.row.watch), None)
    if folder is None:
        return f"unknown: this configuration has no watch {detail.row.watch}"
    path = folder / from_text(detail.row.path)
    try:
        same = Stat.of(path.stat()) == detail.stat
    except OSError:
        return f"{to_text(str(path))}, and no longer there"
    if not same:
        return f"{to_text(str(path))}, and written or touched since"
    if detail.after == "pending" and detail.after_at:
        return f"{to_text(str(path))}, at least until {local_time(detail.after_at)}, because it may be unfinished"
    return to_text(str(path))


def _is_drawn_at(config: "Config", row: "Row", path: Path) -> bool:
    overlay = overlay_path(config, row)
    return overlay is not None and Path(overlay).with_suffix("").resolve() == path.with_suffix("").resolve()


def _same_name(engine: "Engine", detail: "Detail") -> "list[Row]":
    """The other images with the same name, the newest first."""
    from inspectd.cli.explain import MOST
    from inspectd.ledger.read.filters import Filter
    from inspectd.ledger.read.search import results

    literally = re.sub(r"([*?[])", r"[\1]", detail.row.path)
    same = results(engine, Filter(watch=detail.row.watch, path=literally, limit=MOST))
    return [row for row in same if row.id != detail.row.id]


def _record(config: "Config", detail: "Detail", answer: str) -> dict[str, Any]:
    """One image as JSON: the answer, the columns of the view `verdicts`, then the rest."""
    rest = asdict(detail)
    row = rest.pop("row")
    row["overlay"] = overlay_path(config, detail.row)
    return {"answer": answer, **row, **rest, "source": source_now(config, detail)}
