"""`inspectd run` and the hidden `inspectd worker` that it starts."""

from typing import Annotated

import typer

from inspectd.cli.options import ConfigOption


def run(
    config: ConfigOption = None,
    once: Annotated[bool, typer.Option("--once", help="Inspect what is there, then exit.")] = False,
) -> None:
    """Watch the folders of the configuration and inspect what is dropped into them."""
    from inspectd.cli.logs import setup_logging
    from inspectd.cli.options import config_path
    from inspectd.service.daemon import Daemon

    setup_logging()
    raise typer.Exit(Daemon(config_path(config), once=once).run())


def worker(channel: Annotated[int, typer.Option(help="The inherited socket to the supervisor.")]) -> None:
    """Judge images for a supervisor; started by `inspectd run`, of no use by hand."""
    from inspectd.cli.logs import setup_logging
    from inspectd.worker.worker import main

    setup_logging()
    raise typer.Exit(main(channel))
