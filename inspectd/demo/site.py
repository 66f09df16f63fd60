"""The demo's working folder: laid out again for every run, and never in a folder that the demo did not make."""

import shutil
from pathlib import Path

from inspectd.demo.camera import FIELDS
from inspectd.errors import InspectdError
from inspectd.paths import lock_file
from inspectd.rehearsal.site import RehearsalSite, lay_out
from inspectd.resources import PACKAGE
from inspectd.service.locks import Locks

MODEL = PACKAGE / "demo" / "model"
WATCH = "demo"
MARK = ".inspectd-demo"  # only a folder that holds this file may be cleared
OURS = ("config.yaml", "inspectd.db*", "incoming", "aside", "output", "models", "daemon.log", "contact-sheet.png")


def lay_out_demo(root: Path) -> RehearsalSite:
    """Creates a working folder with configuration and model; removes what an earlier demo left in it.

    Raises:
        InspectdError: `root` is not empty and no demo made it, an earlier demo still runs in it, or it cannot be
            written.
    """
    try:
        if root.exists() and any(root.iterdir()) and not (root / MARK).exists():
            raise InspectdError(f"{root} is not empty and was not made by the demo: name another folder with --dir.")
        root.mkdir(parents=True, exist_ok=True)
        (root / MARK).touch()
        _clear(root)
    except OSError as error:
        raise InspectdError(f"{error.filename or root} cannot be written: {error.strerror}.") from None
    return lay_out(root, {"name": WATCH, "settle": 1.0, "fields": FIELDS}, _copy_model)


def sheet_of(site: RehearsalSite) -> Path:
    """The picture that shows the most telling overlays of a run."""
    return site.root / "contact-sheet.png"


def _copy_model(folder: Path) -> None:
    shutil.copytree(MODEL, folder, copy_function=shutil.copyfile)


def _clear(root: Path) -> None:
    locks = Locks()
    locks.take([lock_file(RehearsalSite(root).ledger)], "ledger")  # refuses while a daemon serves it
    for pattern in OURS:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    locks.keep([])
