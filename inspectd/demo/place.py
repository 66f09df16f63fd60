"""The demo's working folder: laid out afresh for every run, and never in a folder that is somebody else's."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from inspectd.demo.camera import FIELDS
from inspectd.errors import InspectdError
from inspectd.resources import PACKAGE
from inspectd.service.locks import Locks

MODEL = PACKAGE / "demo" / "model"
WATCH = "demo"
MARK = ".inspectd-demo"  # a folder that holds it may be cleared
OURS = ("config.yaml", "inspectd.db*", "incoming", "aside", "output", "models", "daemon.log", "contact-sheet.png")

CONFIG = f"""\
# Written by `inspectd demo`. docs/config.md explains every key.
database: sqlite:///inspectd.db
output: output
watch:
  - name: {WATCH}
    path: incoming
    model: models/demo
    settle: 1.0
    fields: '{FIELDS}'
"""


@dataclass(frozen=True)
class Place:
    """The paths of a working folder."""

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

    @property
    def sheet(self) -> Path:
        return self.root / "contact-sheet.png"


def lay_out(root: Path) -> Place:
    """A working folder with configuration and model, and nothing of an earlier demo in it.

    Raises:
        InspectdError: `root` is not empty and no demo's, an earlier demo still runs in it, or it cannot be written.
    """
    place = Place(root)
    try:
        if root.exists() and any(root.iterdir()) and not (root / MARK).exists():
            raise InspectdError(f"{root} is not empty and was not made by the demo: name another folder with --dir.")
        root.mkdir(parents=True, exist_ok=True)
        (root / MARK).touch()
        _clear(root)
        place.incoming.mkdir()
        place.aside.mkdir()
        shutil.copytree(MODEL, root / "models" / "demo", copy_function=shutil.copyfile)
        place.config.write_text(CONFIG)
    except OSError as error:
        raise InspectdError(f"{error.filename or root} cannot be written: {error.strerror}.") from None
    return place


def _clear(root: Path) -> None:
    locks = Locks()
    lock = root / "inspectd.db.lock"
    locks.take([lock], "ledger")  # refuses while a daemon serves it
    for pattern in OURS:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    locks.keep([])
