"""Options that several commands share, defined once."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from inspectd.domain import Method, PrecisionChoice
from inspectd.errors import ConfigError

CONFIG_VARIABLE = "INSPECTD_CONFIG"
CONFIG_PLACES = (Path("config.yaml"), Path("/etc/inspectd/config.yaml"))

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help=f"The configuration file. Default: ${CONFIG_VARIABLE}, else ./config.yaml, else {CONFIG_PLACES[1]}.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV.")]


def _device(text: str) -> str:
    from inspectd.config.values import DEVICE, IN_WORDS

    if not re.search(DEVICE, text):
        raise typer.BadParameter(f"it must be {IN_WORDS[DEVICE]}")
    return text


DeviceOption = Annotated[
    str, typer.Option("--device", callback=_device, help="Where the network runs: auto, cpu, gpu or gpu:N.")
]
PrecisionOption = Annotated[PrecisionChoice, typer.Option("--precision", help="The arithmetic of the network.")]
MethodOption = Annotated[Method, typer.Option("--method", help="How the heat is computed.")]


def refuse_both(as_json: bool, as_csv: bool) -> None:
    """Two formats at once are wrong usage."""
    if as_json and as_csv:
        raise typer.BadParameter("it cannot go with --json.", param_hint="--csv")


def config_path(option: Path | None) -> Path:
    """The configuration file that `--config` names, or else the default one.

    Raises:
        ConfigError: when nothing was named and there is none in the default places.
    """
    if option is not None:
        return option
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    for place in CONFIG_PLACES:
        if os.path.lexists(place):  # a link that this user may not follow is named in the error, not passed over
            return place
    raise ConfigError(
        f"there is no {CONFIG_PLACES[0]} here and no {CONFIG_PLACES[1]}: name a configuration with --config FILE, "
        "or lay out a working folder with `inspectd init DIR`."
    )
