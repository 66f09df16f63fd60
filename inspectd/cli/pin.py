"""`inspectd pin`: an image that is never to be removed by retention, or no longer so."""

from typing import Annotated

import typer

from inspectd.cli.lookup import open_ledger
from inspectd.cli.options import ConfigOption
from inspectd.cli.output import say
from inspectd.cli.show import find
from inspectd.errors import InspectdError
from inspectd.paths import to_text


def pin(
    what: Annotated[
        str, typer.Argument(metavar="ID|FILE|PART", help="The image or images, named as for `inspectd show`.")
    ],
    config: ConfigOption = None,
    unpin: Annotated[bool, typer.Option("--unpin", help="Let retention have them again.")] = False,
    note: Annotated[
        str | None, typer.Option("--note", metavar="TEXT", help="Why; it is kept in the audit trail.")
    ] = None,
) -> None:
    """Keep an image for good: retention removes neither its file nor its overlay nor its row.

    It works while the daemon runs, and needs leave to write the ledger.
    """
    settings, reader = open_ledger(config)
    from inspectd.ledger.database import open_writer
    from inspectd.ledger.write.retention import pin as change

    details = find(reader, settings, what)
    if not details:
        raise InspectdError(
            f"Nothing is known of '{to_text(what)}': no image has this id, part or name in {settings.database_file}."
        )
    engine = open_writer(settings.database)
    for detail in details:
        image = f"image {detail.row.id} ({detail.row.path} in watch {detail.row.watch})"
        changed = change(engine, detail.row.id, pinned=not unpin, detail=f"{image}: {note}" if note else image)
        already = "" if changed else " already"
        say(f"{image} is{already} {'no longer pinned' if unpin else 'pinned'}.")
    engine.dispose()
