"""Versions of a model: `models/NAME/1`, `2`, `3` …, each a bundle, and the link `current` to the version that judges.

    models/cracks/
      1/  2/            bundles; the folder's name is the version that `bundle.yaml` states
      current -> 2      relative, replaced by a rename: it always leads to a version
      activations.json  the versions that became current, when and why

A process that dies between two steps leaves a usable folder: the link `current` decides. An entry of
`activations.json` is written before the link is set; the last entry is ignored if the link does not match it.
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
    """A version became current. `back`: by a return to the version before."""

    at: str
    version: int
    reason: str = ""
    back: bool = False


_HISTORY = TypeAdapter(list[Activation])


def versions(folder: Path) -> list[int]:
    """The versions in a folder, oldest first; empty if it is not a folder of versions."""
    if is_bundle(folder) or not folder.is_dir():
        return []
    return sorted(int(each.name) for each in folder.iterdir() if _NUMBER.fullmatch(each.name) and is_bundle(each))


def current(folder: Path) -> int | None:
    """The version that `current` leads to, existing or not; None without the link."""
    try:
        name = str((folder / CURRENT).readlink())
    except OSError:
        return None
    return int(name) if _NUMBER.fullmatch(name) else None


def folder_of(bundle: Bundle) -> Path | None:
    """The folder of versions that holds a bundle; None if the bundle is not a version of a model."""
    folder = bundle.path.parent
    return folder if bundle.path.name in map(str, versions(folder)) else None


def history(folder: Path) -> list[Activation]:
    """The activations in this folder, newest last.

    Raises:
        BundleError: `activations.json` is damaged.
    """
    try:
        entries = _HISTORY.validate_json((folder / ACTIVATIONS).read_bytes())
    except FileNotFoundError:
        entries = []
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a list of activations"
        raise BundleError(
            f"{folder / ACTIVATIONS} cannot be read: {why}. Remove it: only the history is lost."
        ) from error
    now = current(folder)
    if now is None or _line(entries)[-1:] == [now]:
        return entries
    if _line(entries[:-1])[-1:] == [now]:
        return entries[:-1]  # the writer of the last one died before it set the link
    return [*entries, Activation("", now)]  # the first version, or a link set by hand


def name_of(folder: Path) -> str:
    """The name of the model whose versions are in `folder`; resolves `.` and `..`.

    Raises:
        BundleError: a model cannot have that name.
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
    """Refuses a folder into which no version can be written, before hours of training.

    Raises:
        BundleError: it is a bundle, not a folder, a folder with other content, or has a name that a model cannot have.
    """
    name_of(folder)
    if is_bundle(folder):
        raise BundleError(f"{folder} is a bundle itself, and versions need a folder of their own. Choose another name.")
    if os.path.lexists(folder) and not folder.is_dir():
        raise BundleError(f"{folder} is not a folder. Choose another name for the model.")
    if folder.is_dir() and not versions(folder):
        others = [
            each.name for each in folder.iterdir() if each.name[0] != "." and each.name not in (CURRENT, ACTIVATIONS)
        ]
        if others:
            raise BundleError(f"{folder} holds {others[0]}, which is not a version of a model. Choose another name.")


def publish(
    folder: Path,
    spec: Spec,
    files: Mapping[str, Path | bytes],
    base: Bundle | None = None,
    without: Collection[str] = (),
) -> Bundle:
    """Writes the next version into `folder`, whole or not at all; the first version becomes current.

    Two simultaneous writers get two numbers, in the order in which they rename their folders into place.

    Args:
        spec: Its `version` is replaced.
        files, base, without: See `write_bundle`.

    Raises:
        BundleError: no version can be written there.
    """
    refuse_unfit(folder)
    try:
        make_folder(folder)
        while True:
            number = max(versions(folder), default=0) + 1
            # Set before the bundle exists, so that the first version is current from its first moment.
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
    """Verifies every byte of a version and makes it current. A running daemon notices the change.

    Args:
        prove: Called before anything changes; raises if the bundle must not be used.

    Raises:
        BundleError: there is no such version, it is damaged, or the link cannot be set.
    """
    known = versions(folder)
    if version not in known:
        there = f"it has {', '.join(map(str, known))}" if known else "it is not a folder of versions"
        raise BundleError(f"{folder} has no version {version}: {there}. `inspectd model list` shows all versions.")
    bundle = load_bundle(folder / str(version))
    if bundle.spec.version != version:
        raise BundleError(f"{bundle.path} says that it is version {bundle.spec.version}. Give its folder that name.")
    if prove:
        prove(bundle)
    with _alone(folder):
        if current(folder) != version:
            _set(folder, [*history(folder), Activation(utc_now(), version, reason)])
    return bundle


def rollback(folder: Path, reason: str = "") -> Bundle:
    """Makes the previously current version current again; a second call goes back one more.

    Raises:
        BundleError: no other version was current before, that version is damaged, or the link cannot be set.
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
    """The bundle that `rollback` would return to; None if there is none."""
    try:
        version = _earlier(folder, history(folder))
    except BundleError:
        return None
    return None if version is None else folder / str(version)


def _earlier(folder: Path, entries: list[Activation]) -> int | None:
    now, there = current(folder), versions(folder)
    return next((version for version in reversed(_line(entries)) if version != now and version in there), None)


def _line(entries: list[Activation]) -> list[int]:
    """The versions on the way back, the current one last: each return removes the later ones."""
    stack: list[int] = []
    for entry in entries:
        if entry.back and entry.version in stack:
            while stack[-1] != entry.version:
                stack.pop()
        else:
            stack.append(entry.version)
    return stack


def _set(folder: Path, entries: list[Activation]) -> None:
    """Records the activation, then sets the link; the caller holds the folder's lock."""
    temporary = folder / f".{CURRENT}.tmp"
    if (folder / CURRENT).is_dir() and not (folder / CURRENT).is_symlink():
        raise BundleError(
            f"{folder / CURRENT} is a folder instead of a link: the model was copied without its links. Remove it."
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
    """Locks the folder against other writers of `current`; the kernel releases the lock when the process ends."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise BundleError(f"{folder} cannot be opened: {error.strerror}. Give a folder of versions.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
