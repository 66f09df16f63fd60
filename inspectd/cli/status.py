"""`inspectd status`: what stands now, from the ledger alone."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from inspectd.cli import output
from inspectd.cli.lookup import open_ledger
from inspectd.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from inspectd.ledger.status import WatchStatus

STATES = ("queued", "claimed", "settling", "stalled", "done", "failed")
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what stands now: images by watch and state, models in use, and what last happened.

    It is what the ledger knows, whether the daemon runs or not. Times are local in the table, UTC in JSON.
    """
    settings, engine = open_ledger(config)
    from inspectd.ledger.status import status as query

    now = datetime.now(UTC)
    found = query(engine, [watch.name for watch in settings.watch])
    if as_json:
        watches = [{**asdict(watch), "oldest_queued_s": _seconds(watch, now)} for watch in found.watches]
        output.write_json_lines([{**asdict(found), "watches": watches}])
        return
    columns = ("watch", *STATES, "oldest queued", "last verdict", "model")
    output.write_table(
        columns, (tuple(_cells(watch, now)) for watch in found.watches), right=(*STATES, "oldest queued")
    )
    output.say("")
    output.say(f"Last verdict: {output.local_time(found.last_verdict_at) or 'none yet'}")
    if found.events:
        output.say("")
        rows = ((event.kind, output.local_time(event.at), event.detail) for event in found.events)
        output.write_table(("last", "at", "detail"), rows)


def _cells(watch: "WatchStatus", now: datetime) -> Iterator[str]:
    yield watch.watch if watch.configured else f"{watch.watch} (not configured)"
    yield from (str(watch.counts[state]) for state in STATES)
    waited = _seconds(watch, now)
    yield "" if waited is None else age(waited)
    yield output.local_time(watch.last_verdict_at)
    yield watch.model or ""


def _seconds(watch: "WatchStatus", now: datetime) -> float | None:
    """How long the oldest queued image has waited; 0 where the clock was set back meanwhile."""
    if watch.oldest_queued_at is None:
        return None
    return max(0.0, round((now - datetime.fromisoformat(watch.oldest_queued_at)).total_seconds(), 3))


def age(seconds: float) -> str:
    """A span in the largest unit of which there are two: 119 s, 2 min, 47 h, 2 d."""
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
