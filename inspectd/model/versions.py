"""Versions of a model: `models/NAME/1`, `2`, `3` …, each a bundle, and the link `current` to the one that is to judge.

    models/cracks/
      1/  2/            bundles; the folder's name is the version that `bundle.yaml` states
      current -> 2      relative, replaced by a rename: it leads to the one or to the other, never to nothing
      activations.json  what was made current, when and why

Whatever dies between two steps leaves a folder that can be used: `current` alone is the truth. An entry of
`activations.json` is written before the link is set, and one that the link does not confirm never happened.
"""

import fcntl
import json
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from inspectd.clock import utc_now
from inspectd.durable import fsync, make_folder, write_all
from inspectd.errors import BundleError
from inspectd.model.bundle import CURRENT, Bundle, is_bundle, load_bundle, write_bundle
from inspectd.model.spec import Spec

ACTIVATIONS = "activations.json"
MOST_CHARACTERS = 128  # of a model's name
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Activation:
    """That a version was made current. `back` says that it was a return to the one before."""

    at: str
    version: int
    reason: str = ""
    back: bool = False


_HISTORY = TypeAdapter(list[Activation])


def versions(folder: Path) -> list[int]:
    """The versions that lie in a folder, the oldest first; none where it is no folder of versions."""
    if is_bundle(folder) or not folder.is_dir():
        return []
    return sorted(int(each.name) for each in folder.iterdir() if _NUMBER.fullmatch(each.name) and is_bundle(each))


def current(folder: Path) -> int | None:
    """The version that `current` leads to, whether it is there or not; None where there is no such link."""
    try:
        name = str((folder / CURRENT).readlink())
    except OSError:
        return None
    return int(name) if _NUMBER.fullmatch(name) else None


def folder_of(bundle: Bundle) -> Path | None:
    """The folder of versions that a bundle lies in; None where it is no version of a model."""
    folder = bundle.path.parent
    return folder if bundle.path.name in map(str, versions(folder)) else None


def history(folder: Path) -> list[Activation]:
    """What was made current in this folder and is so, or was before; the newest last.

    Raises:
        BundleError: the record of it is damaged.
    """
    try:
        entries = _HISTORY.validate_json((folder / ACTIVATIONS).read_bytes())
    except FileNotFoundError:
        entries = []
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no list of activations"
        raise BundleError(
            f"{folder / ACTIVATIONS} cannot be read: {why}. Remove it: only the history is lost."
        ) from error
    now = current(folder)
    if now is None or _line(entries)[-1:] == [now]:
        return entries
    if _line(entries[:-1])[-1:] == [now]:
        return entries[:-1]  # whoever wrote the last one died before the link was set
    return [*entries, Activation("", now)]  # the first version, or a link that was set by hand


def name_of(folder: Path) -> str:
    """What the model is called whose versions lie in `folder`, wherever that is seen from (`.`, `..`).

    Raises:
        BundleError: no model can have that name.
    """
    name = (folder.resolve() if folder.name in ("", "..") else folder).name
    try:
        name.encode()
    except UnicodeEncodeError:
        name = ""
    if not 1 <= len(name) <= MOST_CHARACTERS:
        raise BundleError(
            f"{folder}: the folder's name is the model's, 1 to {MOST_CHARACTERS} characters in UTF-8. Choose another "
            "name."
        )
    return name


def refuse_unfit(folder: Path) -> None:
    """Refuse a place where no version can be written, before hours of work end there.

    Raises:
        BundleError: it is a bundle itself, no folder, a folder with other things in it, or no model can have its name.
    """
    name_of(folder)
    if is_bundle(folder):
        raise BundleError(f"{folder} is a bundle itself, and versions need a folder of their own. Choose another name.")
    if os.path.lexists(folder) and not folder.is_dir():
        raise BundleError(f"{folder} is no folder. Choose another name for the model.")
    if folder.is_dir() and not versions(folder):
        others = [
            each.name for each in folder.iterdir() if each.name[0] != "." and each.name not in (CURRENT, ACTIVATIONS)
        ]
        if others:
            raise BundleError(f"{folder} holds {others[0]}, which is no version of a model. Choose another name.")


def publish(
    folder: Path,
    spec: Spec,
    files: Mapping[str, Path | bytes],
    base: Bundle | None = None,
    without: Collection[str] = (),
) -> Bundle:
    """Writes the next version into `folder`, whole or not at all; it becomes current only where none is yet.

    Two writers at once get two numbers: whose folder is renamed into place first decides.

    Args:
        spec: Its `version` is set here.
        files, base, without: As `write_bundle` takes them.

    Raises:
        BundleError: no version can be written there.
    """
    refuse_unfit(folder)
    try:
        make_folder(folder)
        while True:
            number = max(versions(folder), default=0) + 1
            # Before the bundle as well, so that at no moment the first version stands and is not current.
            made = _make_current_where_none_is(folder, number)
            try:
                bundle = write_bundle(folder / str(number), replace(spec, version=number), files, base, without)
            except BundleError:
                if not (folder / str(number)).exists():
                    if made:
                        (folder / CURRENT).unlink(missing_ok=True)
                    raise
            else:
                _make_current_where_none_is(folder, number)
                return bundle
    except OSError as error:
        raise BundleError(f"{folder} cannot be written: {error}.") from error


def activate(folder: Path, version: int, reason: str = "", prove: Callable[[Bundle], None] | None = None) -> Bundle:
    """Makes a version current, once every byte of it is verified. A running daemon takes it up by itself.

    Args:
        prove: Asked as well before anything is changed; it raises for a bundle that must not be taken.

    Raises:
        BundleError: there is no such version, it is damaged, or the link cannot be set.
    """
    known = versions(folder)
    if version not in known:
        there = f"it has {', '.join(map(str, known))}" if known else "it is no folder of versions"
        raise BundleError(f"{folder} has no version {version}: {there}. `inspectd model list` shows what there is.")
    bundle = load_bundle(folder / str(version))
    if bundle.spec.version != version:
        raise BundleError(f"{bundle.path} states that it is version {bundle.spec.version}. Give its folder that name.")
    if prove:
        prove(bundle)
    with _alone(folder):
        if current(folder) != version:
            _set(folder, [*history(folder), Activation(utc_now(), version, reason)])
    return bundle


def rollback(folder: Path, reason: str = "") -> Bundle:
    """Makes the version current that was so before; called again, the one before that.

    Raises:
        BundleError: no other version was current before, it is damaged, or the link cannot be set.
    """
    with _alone(folder):
        entries = history(folder)
        version = _earlier(folder, entries)
        if version is None:
            raise BundleError(
                f"{folder}: no other version was current before. Choose one: `inspectd model activate "
                f"{shlex.quote(str(folder))} VERSION`."
            )
        bundle = load_bundle(folder / str(version))
        _set(folder, [*entries, Activation(utc_now(), version, reason, back=True)])
    return bundle


def previous(folder: Path) -> Path | None:
    """The bundle that `rollback` would return to; None where nothing is known of one."""
    try:
        version = _earlier(folder, history(folder))
    except BundleError:
        return None
    return None if version is None else folder / str(version)


def _earlier(folder: Path, entries: list[Activation]) -> int | None:
    now, there = current(folder), versions(folder)
    return next((version for version in reversed(_line(entries)) if version != now and version in there), None)


def _line(entries: list[Activation]) -> list[int]:
    """The versions that a return leads through, the current one last: a return takes back what came after it."""
    stack: list[int] = []
    for entry in entries:
        if entry.back and entry.version in stack:
            while stack[-1] != entry.version:
                stack.pop()
        else:
            stack.append(entry.version)
    return stack


def _set(folder: Path, entries: list[Activation]) -> None:
    """Says what is going to be current, then makes it so; the folder is held."""
    temporary = folder / f".{CURRENT}.tmp"
    if (folder / CURRENT).is_dir() and not (folder / CURRENT).is_symlink():
        raise BundleError(
            f"{folder / CURRENT} is a folder and no link: the model was copied without its links. Remove it."
        )
    try:
        write_all([(folder / ACTIVATIONS, json.dumps([asdict(entry) for entry in entries], indent=1).encode())])
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(str(entries[-1].version))
        temporary.rename(folder / CURRENT)
        fsync(folder)
    except OSError as error:
        raise BundleError(f"{folder / CURRENT} cannot be set: {error}.") from error


def _make_current_where_none_is(folder: Path, number: int) -> bool:
    try:
        (folder / CURRENT).symlink_to(str(number))
    except FileExistsError:
        return False
    fsync(folder)
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else changes `current` meanwhile; the kernel lets go of the folder when a process dies."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise BundleError(f"{folder} cannot be opened: {error.strerror}. Give a folder of versions.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
