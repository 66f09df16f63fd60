"""Options that several commands share, declared once, and how a command takes a group of options as one value."""

import inspect
import os
import re
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from inspectd.domain import Method, PrecisionChoice
from inspectd.errors import ConfigError

Command = Callable[..., None]
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


def grouped(parameter: str, options: Mapping[str, Any], collect: Callable[..., Any]) -> Callable[[Command], Command]:
    """Gives a command a group of optional options in the place of one of its parameters.

    Args:
        parameter: The parameter's name; the command gets what `collect` makes of the options.
        options: The options by their keyword: `Annotated` types as typer reads them; each is None unless given.
        collect: Is called with every option as a keyword.
    """

    def decorate(command: Command) -> Command:
        kind = inspect.Parameter.KEYWORD_ONLY  # of these, any order of required and optional ones is allowed
        parameters: list[inspect.Parameter] = []
        for each in inspect.signature(command).parameters.values():
            if each.name == parameter:
                group = (inspect.Parameter(name, kind, default=None, annotation=options[name]) for name in options)
                parameters.extend(group)
            else:
                parameters.append(each.replace(kind=kind))

        @wraps(command)
        def with_options(**given: Any) -> None:
            collected = collect(**{name: given.pop(name) for name in options})
            command(**given, **{parameter: collected})

        del with_options.__wrapped__  # typer would take the options from its signature
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        return with_options

    return decorate


def refuse_both(as_json: bool, as_csv: bool) -> None:
    """Refuses two output formats at once."""
    if as_json and as_csv:
        raise typer.BadParameter("it cannot go with --json.", param_hint="--csv")


def config_path(option: Path | None) -> Path:
    """Returns the configuration file that `--config` names, or else the default one.

    Raises:
        ConfigError: no file was named, and there is none in the default folders.
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
