"""`inspectd doctor`: what could keep a site from working, and the drop-in that its folders need."""

from dataclasses import asdict
from typing import Annotated

import typer

from inspectd.cli import output
from inspectd.cli.options import ConfigOption, JsonOption, config_path
from inspectd.errors import InspectdError


def doctor(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    systemd: Annotated[
        bool, typer.Option("--systemd", help="Print only the systemd drop-in that the configured folders need.")
    ] = False,
) -> None:
    """Check a site: folders, rights, events, limits, disks, ledger, models, device, clock; one line for each check.

    The daemon may run or not. Nothing changes, except for a hidden file in each watch that is removed at once. Exits 1
    on a FAULT, 78 if the configuration cannot be read.
    """
    from inspectd.config import load
    from inspectd.service.doctor import Level, drop_in, examine, site_of

    path = config_path(config)
    site = site_of(path, load(path))
    if systemd:
        typer.echo(drop_in(site) or "# The unit is enough: no drop-in is needed.\n", nl=False)
        return
    faults = 0
    findings = examine(site)
    if as_json:
        found = list(findings)
        output.write_json(asdict(finding) for finding in found)
        faults = sum(finding.state is Level.FAULT for finding in found)
    else:
        for finding in findings:
            faults += finding.state is Level.FAULT
            advice = f". {finding.advice}" if finding.advice else ""
            output.say(f"{finding.state:<6} {finding.check:<13}  {finding.subject}: {finding.found}{advice}")
    if faults:
        raise InspectdError(f"{faults} fault{'s' if faults > 1 else ''}, see above.")
