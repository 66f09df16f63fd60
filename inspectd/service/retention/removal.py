"""Removes files from our own folders: only regular files, and only below that folder, whatever links say.

It opens a folder, checks its real path, and then checks and removes files through that descriptor, so that a link that
appears meanwhile leads nowhere. A file that cannot be removed is tried again.
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from inspectd.durable import fsync
from inspectd.ledger.records import Removal
from inspectd.paths import from_text


def look(root: Path, path: Path) -> os.stat_result | None:
    """The stat of a regular file that really lies below `root`; None for anything else."""
    try:
        with _folder(root, path) as folder:
            return _regular(folder, path.name)
    except OSError:
        return None


def is_gone(root: Path, path: Path) -> bool:
    """Whether a file below `root` is certainly not there.

    If its folder is missing or empty, perhaps only a disk is not mounted: the nearest existing folder must contain a
    name that is not hidden.
    """
    if os.path.lexists(path):
        return False
    for folder in path.parents:
        if not folder.is_relative_to(root):
            return False
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            return any(not entry.name.startswith(".") for entry in entries)  # a mount point may hold a .keep
    return False


@dataclass(frozen=True)
class Removed:
    """The result of removing files.

    Attributes:
        done: The ids of those that are certainly off the disk, or were another file by then.
        fault: The last error of the others.
        folders: Their folders, each with the folder that must stay; `tidy` removes the empty ones.
    """

    done: list[int]
    fault: OSError | None
    folders: Mapping[Path, Path]


def remove(removals: Sequence[Removal]) -> Removed:
    """Removes files, durably."""
    done: list[int] = []
    touched: dict[Path, Path] = {}
    fault: OSError | None = None
    for removal in removals:
        root = Path(from_text(removal.root))
        path = root / from_text(removal.path)
        try:
            with _folder(root, path) as folder:
                found = _regular(folder, path.name)
                if found and (removal.size, removal.mtime_ns) in ((None, None), (found.st_size, found.st_mtime_ns)):
                    os.unlink(path.name, dir_fd=folder)  # through the descriptor
        except FileNotFoundError as error:
            if not is_gone(root, path):
                fault = error
                continue
        except OSError as error:
            fault = error
            continue
        touched[path.parent] = root
        done.append(removal.id)
    for parent in touched:
        with suppress(FileNotFoundError):
            fsync(parent)
    return Removed(done, fault, touched)


def tidy(folders: Mapping[Path, Path]) -> None:
    """Removes empty folders, and the empty folders above them up to the one that must stay."""
    for empty, root in folders.items():
        folder = empty
        while folder != root and folder.is_relative_to(root):
            try:
                folder.rmdir()
            except OSError:
                break
            folder = folder.parent


@contextmanager
def _folder(root: Path, path: Path) -> Iterator[int]:
    """Opens the folder of a file; PermissionError if it does not really lie below `root`."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        real = Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115  # its path as bytes may be
        if not real.is_relative_to(root.resolve()):
            raise PermissionError(f"{path} leads out of {root}")
        yield descriptor
    finally:
        os.close(descriptor)


def _regular(folder: int, name: str) -> os.stat_result | None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None
