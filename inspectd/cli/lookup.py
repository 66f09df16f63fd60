"""What the commands that read the ledger share: the options that narrow a question, and the way to the ledger."""

import gc
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from inspectd.cli.options import Command, config_path, grouped

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from inspectd.config import Config
    from inspectd.ledger.read.filters import Filter
    from inspectd.ledger.read.search import Row

VerdictChoice = Literal["ok", "defect", "review", "failed", "pending"]

# Every condition that narrows a question: its keyword in `Filter`, and its option.
CONDITIONS: dict[str, Any] = {
    "since": Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="From then on: 2026-11-23, 2026-11-23T15:00, 30m, 12h or 7d ago."),
    ],
    "until": Annotated[
        str | None,
        typer.Option(
            "--until", metavar="WHEN", help="Before then, in the same notations; a date alone includes that day."
        ),
    ],
    "watch": Annotated[str | None, typer.Option("--watch", metavar="NAME", help="Only images of this watch.")],
    "part": Annotated[str | None, typer.Option("--part", metavar="PART", help="Only images of this part.")],
    "verdict": Annotated[VerdictChoice | None, typer.Option("--verdict", help="Only images with this verdict.")],
    "label": Annotated[str | None, typer.Option("--label", metavar="CLASS", help="Only images with this label.")],
    "model": Annotated[
        str | None,
        typer.Option(
            "--model", metavar="NAME[@HASH]", help="Only images that this model judged; the hash's first digits do."
        ),
    ],
    "score_min": Annotated[
        float | None, typer.Option("--score-min", min=0, max=1, help="Only images with at least this score.")
    ],
    "score_max": Annotated[
        float | None, typer.Option("--score-max", min=0, max=1, help="Only images with at most this score.")
    ],
    "path": Annotated[
        str | None,
        typer.Option(
            "--path", metavar="GLOB", help="Only paths in the watch that match: * (also across /), ?, \\[abc]."
        ),
    ],
}


def narrowed_by(*conditions: str) -> Callable[[Command], Command]:
    """Gives a command the options of these conditions in the place of its parameter `wanted`: one `Filter`."""
    return grouped("wanted", {name: CONDITIONS[name] for name in conditions}, filter_of)


def filter_of(since: str | None = None, until: str | None = None, **conditions: Any) -> "Filter":
    """The filter of conditions as people write them.

    Raises:
        typer.BadParameter: a time cannot be read.
    """
    _import_ledger()
    from inspectd.ledger.read.filters import Filter

    return Filter(since=moment(since, "--since"), until=moment(until, "--until"), **conditions)


_AGO = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def moment(text: str | None, option: str, *, now: datetime | None = None) -> datetime | None:
    """Reads a time as people write it: local unless it has a zone; for ``--until`` a date alone means its end.

    Raises:
        typer.BadParameter: the text is no time.
    """
    if text is None:
        return None
    try:
        if ago := _AGO.fullmatch(text):
            return (now or datetime.now()).astimezone() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        then = datetime.fromisoformat(text)
        if option == "--until" and not re.search(r"[T ]", text):
            then += timedelta(days=1)
        return then.astimezone()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"'{text}' is no time: write 2026-11-23, 2026-11-23T15:00, or 30m, 12h, 7d ago.", param_hint=option
        ) from None


def open_ledger(option: Path | None) -> "tuple[Config, Engine]":
    """Reads the configuration and opens its ledger for reading."""
    _import_ledger()
    from inspectd.config import load
    from inspectd.ledger.database import open_reader

    config = load(config_path(option))
    return config, open_reader(config.database)


def _import_ledger() -> None:
    """Imports what every lookup needs: some 100,000 objects and no garbage, so that collecting costs an eighth."""
    gc.disable()
    from inspectd import config
    from inspectd.ledger import database
    from inspectd.ledger.read import search

    del config, database, search
    gc.enable()


def overlay_path(config: "Config", row: "Row") -> str | None:
    """The full path of a result's overlay; the ledger has it relative to `output`."""
    return str(config.output / row.overlay) if row.overlay else None
