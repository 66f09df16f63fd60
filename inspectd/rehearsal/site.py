"""A working folder for a rehearsal: a configuration with one watch, its folders, its ledger and its log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from inspectd.errors import InspectdError

DATABASE = "inspectd.db"


@dataclass(frozen=True)
class RehearsalSite:
    """The paths of a working folder."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def ledger(self) -> Path:
        return self.root / DATABASE

    @property
    def incoming(self) -> Path:
        """The watched folder."""
        return self.root / "incoming"

    @property
    def aside(self) -> Path:
        """A folder outside the watch, on the same file system."""
        return self.root / "aside"

    @property
    def output(self) -> Path:
        return self.root / "output"

    @property
    def log(self) -> Path:
        return self.root / "daemon.log"


def lay_out(
    root: Path,
    watch: Mapping[str, Any],
    make_model: Callable[[Path], object],
    settings: Mapping[str, Any] | None = None,
) -> RehearsalSite:
    """Creates the folders, the model and the configuration of a site.

    Args:
        watch: Keys of the one watch, such as `name` and `settle`. Its folder is `incoming`, its model `models/NAME`.
        make_model: Writes the model into the folder that it is given, which does not exist yet.
        settings: Further sections of the configuration, such as `worker`.

    Raises:
        InspectdError: one of the folders exists already, or `root` cannot be written.
    """
    site = RehearsalSite(root)
    model = root / "models" / str(watch["name"])
    try:
        root.mkdir(parents=True, exist_ok=True)
        for folder in (site.incoming, site.aside, site.output, model.parent):
            folder.mkdir()
        make_model(model)
        document = {
            "database": f"sqlite:///{DATABASE}",
            "output": "output",
            "watch": [{"path": "incoming", "model": f"models/{model.name}", **watch}],
            **(settings or {}),
        }
        note = "# Written by inspectd for a rehearsal. docs/config.md explains every key.\n"
        site.config.write_text(note + yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
    except OSError as error:
        raise InspectdError(f"{error.filename or root} cannot be written: {error.strerror}.") from None
    return site
