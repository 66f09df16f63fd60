"""`inspectd run` and the hidden `inspectd worker` that it starts."""

from typing import Annotated

import typer

from inspectd.cli.logs import FORMAT_VARIABLE, Format, setup_logging
from inspectd.cli.options import ConfigOption, config_path

LogFormatOption = Annotated[
    Format, typer.Option("--log-format", envvar=FORMAT_VARIABLE, help="Log lines for people, or a JSON object each.")
]


def run(
    config: ConfigOption = None,
    once: Annotated[bool, typer.Option("--once", help="Inspect the files that are there, then exit.")] = False,
    log_format: LogFormatOption = "text",
) -> None:
    """Watch the configured folders and inspect every image that is dropped into them."""
    from inspectd.service.daemon import Daemon

    setup_logging(log_format)
    raise typer.Exit(Daemon(config_path(config), once=once).run())


def worker(
    channel: Annotated[int, typer.Option(help="The inherited socket to the supervisor.")],
    log_format: LogFormatOption = "text",
) -> None:
    """Judge images for a supervisor; `inspectd run` starts this."""
    from inspectd.worker.worker import main

    setup_logging(log_format)
    raise typer.Exit(main(channel))
