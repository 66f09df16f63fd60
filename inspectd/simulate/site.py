"""The folder that a simulation works in: a configuration of its own, the null network, and no one else's files."""

from pathlib import Path

from inspectd.demo.place import Place
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


def lay_out(root: Path) -> Place:
    """A site in a folder that is new or empty.

    Raises:
        InspectdError: something lies in it, or it cannot be written.
    """
    site = Place(root)
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
