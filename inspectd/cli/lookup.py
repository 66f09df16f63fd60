"""What the commands that look things up share: the options that narrow a question, and the way to the ledger."""

import gc
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from inspectd.cli.options import config_path

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from inspectd.config import Config
    from inspectd.ledger.read.search import Row

Verdict = Literal["ok", "defect", "review", "failed", "pending"]

SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="From then on: 2026-11-23, 2026-11-23T15:00, or 30m, 12h, 7d ago."),
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="WHEN", help="Before then, written likewise; a day alone is meant as a whole."),
]
WatchOption = Annotated[str | None, typer.Option("--watch", metavar="NAME", help="Of this watch.")]
PartOption = Annotated[str | None, typer.Option("--part", metavar="PART", help="Of this part.")]
VerdictOption = Annotated[Verdict | None, typer.Option("--verdict", help="With this verdict.")]
LabelOption = Annotated[str | None, typer.Option("--label", metavar="CLASS", help="With this class as label.")]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME[@HASH]", help="By this model; of its hash, the first digits are enough."),
]
ScoreMinOption = Annotated[float | None, typer.Option("--score-min", min=0, max=1, help="With at least this score.")]
ScoreMaxOption = Annotated[float | None, typer.Option("--score-max", min=0, max=1, help="With at most this score.")]
PathOption = Annotated[
    str | None,
    typer.Option(
        "--path", metavar="GLOB", help="With a path in the watch like this: *, ? and \\[abc] match, * also /."
    ),
]

_AGO = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def moment(text: str | None, option: str, *, now: datetime | None = None) -> datetime | None:
    """A point in time as people write it: local unless it has a zone; for ``--until`` a day alone means its end.

    Raises:
        typer.BadParameter: when it is none.
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
    """The configuration, and its ledger for reading."""
    gc.disable()  # the imports make some 100,000 objects and no garbage: looking for it is an eighth of the start
    from inspectd.config import load
    from inspectd.ledger.database import open_reader
    from inspectd.ledger.read import search  # noqa: F401  # what every caller imports next

    gc.enable()
    config = load(config_path(option))
    return config, open_reader(config.database)


def overlay_path(config: "Config", row: "Row") -> str | None:
    """Where the overlay of a result lies; the ledger knows it only within `output`."""
    return str(config.output / row.overlay) if row.overlay else None
