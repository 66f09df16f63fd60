"""`inspectd retention`: shows what retention would remove now, and what it never removes."""

from datetime import UTC, datetime

from inspectd.cli.lookup import open_ledger
from inspectd.cli.options import ConfigOption, JsonOption
from inspectd.cli.output import say, write_json_lines, write_table
from inspectd.sizes import size_text


def retention(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what retention would remove if it began now, and what it never removes; remove nothing.

    The daemon does the work every minute, by the rules in the configuration.
    """
    settings, engine = open_ledger(config)
    from inspectd.service.retention.candidates import preview

    found = preview(settings, engine, datetime.now(UTC))
    if as_json:
        write_json_lines([found.as_dict()])
        return
    if found.rules:
        columns = ("rule", "days", "free", "by age", "for space", "size", "still short")
        rows = (
            (
                rule.name,
                str(rule.days or ""),
                rule.free or "",
                str(rule.by_age),
                str(rule.by_space),
                size_text(rule.bytes),
                "yes" if rule.still_short else "",
            )
            for rule in found.rules
        )
        write_table(columns, rows, right=columns[3:6])
    else:
        say("Nothing is ever removed: the configuration has no rule under `retention`.")
    counts = ", ".join(f"{number} {reason}" for reason, number in found.protected.items())
    say(f"Never removed, whatever its age: {counts}. One image may count twice.")
    if found.pending:
        say(f"{found.pending} files are released but not yet removed from the disk.")
