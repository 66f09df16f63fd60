"""`inspectd init`: creates a working folder that runs as it is, with the demo model."""

import os
import shlex
import shutil
from pathlib import Path
from typing import Annotated

import typer

from inspectd.cli.output import program, say
from inspectd.errors import InspectdError
from inspectd.resources import PACKAGE, resource

FOLDERS = ("incoming", "output", "models")
DEMO_MODEL = PACKAGE / "demo" / "model"


def init(directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder; it is created.")]) -> None:
    """Create a working folder that runs as it is, with the demo model.

    It holds a commented config.yaml, folders for images and overlays, and a model. Nothing is overwritten.
    """
    for name in ("config.yaml", *FOLDERS):
        if os.path.lexists(directory / name):
            raise InspectdError(f"{directory / name} exists already and is not overwritten: choose another folder.")
    try:
        for name in FOLDERS:
            (directory / name).mkdir(parents=True)
        shutil.copytree(DEMO_MODEL, directory / "models" / "demo", copy_function=shutil.copyfile)
        shutil.copyfile(resource("config.yaml"), directory / "config.yaml")
    except OSError as error:
        raise InspectdError(f"{error.filename or directory} cannot be written: {error.strerror}.") from None
    config = shlex.quote(str(directory / "config.yaml"))
    say(f"{directory} is laid out. Next:")
    say(f"  {program()} run -c {config}")
    say(f"  drop images into {directory / 'incoming'}")
    say(f"  {program()} results -c {config}")
    say("The demo model knows only the demo's textures: train your own with `inspectd train`, then set `model`.")
