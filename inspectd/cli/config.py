"""`inspectd config`: checks a configuration, and writes its schema for editors."""

from pathlib import Path
from typing import Annotated

import typer

from inspectd.cli.options import ConfigOption, config_path
from inspectd.cli.output import say
from inspectd.errors import BundleError, ConfigError, InspectdError

app = typer.Typer(help="Check a configuration, or write its schema for an editor.", no_args_is_help=True)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check a configuration and its models, change nothing, and print what the configuration means.

    Lists every mistake, one a line, and exits with 78 if there is one. A glob that is probably wrong is a warning.
    """
    from inspectd.config import load, remarks
    from inspectd.model.bundle import load_bundle

    path = config_path(config)
    found = load(path)
    wrong = [
        f"the folder of watch {watch.name}, {watch.path}, is not there."
        for watch in found.watch
        if not watch.path.is_dir()
    ]
    bundles = {}
    for model in dict.fromkeys(watch.model for watch in found.watch):
        try:
            bundles[model] = load_bundle(model)
        except BundleError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong))
    say(f"{path} is right.")
    for remark in remarks(found):
        say(f"warning   {remark}")
    say(f"database  {found.database_file}")
    say(f"output    {found.output}")
    for watch in found.watch:
        bundle = bundles[watch.model]
        by = f"{bundle.title} (version {bundle.spec.version}) in {bundle.path}"
        say(f"watch     {watch.name}: {watch.path}, judged by {by}, then {_after(watch.after, watch.move_to)}")


def _after(after: str, move_to: str) -> str:
    return {"keep": "kept", "move": f"moved to {move_to}", "delete": "deleted where the verdict is ok"}[after]


@app.command()
def schema(
    file: Annotated[Path | None, typer.Argument(help="Where to write it. Default: standard output.")] = None,
) -> None:
    """Write the JSON Schema of config.yaml, with which an editor completes and explains every key."""
    import json

    from inspectd.config import json_schema

    text = json.dumps(json_schema(), indent=2)
    if file is None:
        typer.echo(text)
        return
    try:
        file.write_text(text + "\n")
    except OSError as error:
        raise InspectdError(f"{file} cannot be written: {error.strerror}.") from None
