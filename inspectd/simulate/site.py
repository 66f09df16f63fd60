"""The folder that a simulation works in: a configuration of its own, the null network, and no one else's files."""

from dataclasses import dataclass
from pathlib import Path

from inspectd.errors import InspectdError
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import Thresholds

WATCH = "line"
THRESHOLDS = Thresholds(defect=0.3, review=-0.3)  # around mid-grey, so that every verdict occurs

CONFIG = f"""\
# Written by `inspectd simulate`. docs/config.md explains every key.
database: sqlite:///inspectd.db
output: output
watch:
  - name: {WATCH}
    path: incoming
    model: models/null
    settle: 0.5
    rescan: 10
"""


@dataclass(frozen=True)
class Site:
    """The paths in it."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def ledger(self) -> Path:
        return self.root / "inspectd.db"

    @property
    def incoming(self) -> Path:
        return self.root / "incoming"

    @property
    def aside(self) -> Path:
        """Outside of the watch, on the same file system."""
        return self.root / "aside"

    @property
    def output(self) -> Path:
        return self.root / "output"

    @property
    def log(self) -> Path:
        return self.root / "daemon.log"


def lay_out(root: Path) -> Site:
    """A site in a folder that is new or empty.

    Raises:
        InspectdError: something lies in it, or it cannot be written.
    """
    site = Site(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        if any(root.iterdir()):
            raise InspectdError(f"{root} is not empty: name a new folder with --dir.")
        for folder in (site.incoming, site.aside, site.output):
            folder.mkdir()
        write_null_bundle(root / "models" / "null", thresholds=THRESHOLDS)
        site.config.write_text(CONFIG)
    except OSError as error:
        raise InspectdError(f"{error.filename or root} cannot be written: {error.strerror}.") from None
    return site
