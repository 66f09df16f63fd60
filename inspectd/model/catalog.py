"""Lists the bundles in folders: names, versions and measured figures, read without verifying the bytes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inspectd.clock import utc_text
from inspectd.errors import BundleError
from inspectd.model.bundle import MANIFEST, Bundle, is_bundle, read_bundle
from inspectd.model.versions import current, versions


@dataclass(frozen=True)
class CatalogEntry:
    """One bundle of a catalogue.

    Attributes:
        model: The folder of versions that holds it, or the bundle itself if it is in none.
        is_current: Whether the path `model` leads to this bundle.
        written_at: When it was written to this disk, UTC text.
        bundle: The bundle; None if it cannot be read, and `problem` gives the reason.
    """

    model: Path
    path: Path
    is_current: bool
    written_at: str | None
    bundle: Bundle | None
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON for programs."""
        found = self.bundle
        return {
            "model": str(self.model),
            "path": str(self.path),
            "current": self.is_current,
            "name": found and found.spec.name,
            "version": found and found.spec.version,
            "identity": found and found.identity,
            "written_at": self.written_at,
            "metrics": found and found.spec.metrics,
            "problem": self.problem,
        }


def catalogue(places: Iterable[Path]) -> Iterator[CatalogEntry]:
    """All bundles at these paths, each a bundle, a folder of versions, or a folder that holds such."""
    for place in places:
        if is_bundle(place) or versions(place):
            yield from _model(place)
        elif place.is_dir():
            for below in sorted(each for each in place.iterdir() if each.is_dir()):
                yield from _model(below)


def named(text: str, configured: Iterable[Path]) -> Path:
    """The folder of a model that a person named: by its path, or by its name in the configuration.

    Raises:
        BundleError: neither a folder nor a model of that name exists.
    """
    path = Path(text)
    known = list(dict.fromkeys(configured))
    if is_bundle(path) or versions(path):
        return path
    if found := [model for model in known if model.name == text]:
        return found[0]
    if path.is_dir():  # opening it reports what is wrong with it
        return path
    names = ", ".join(model.name for model in known) or "none"
    raise BundleError(f"{text}: there is no such folder, and no model of the configuration has that name ({names}).")


def _model(model: Path) -> Iterator[CatalogEntry]:
    if is_bundle(model):
        yield _entry(model, model, is_current=True)
        return
    now = current(model)
    for number in versions(model):
        yield _entry(model, model / str(number), is_current=number == now)


def _entry(model: Path, path: Path, *, is_current: bool) -> CatalogEntry:
    try:
        moment = datetime.fromtimestamp((path / MANIFEST).stat().st_mtime, UTC)
        return CatalogEntry(model, path, is_current, utc_text(moment), read_bundle(path))
    except (BundleError, OSError) as error:
        return CatalogEntry(model, path, is_current, None, None, str(error))
