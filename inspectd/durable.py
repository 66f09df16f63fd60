"""Files that are either not there or whole: temporary name, fsync, rename, fsync of the folder."""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def write_all(files: Iterable[tuple[Path, bytes]]) -> None:
    """Write many files durably, with one fsync for each folder at the end. Existing files are replaced whole.

    Raises:
        OSError: when the file system refuses; files already renamed stay, and the call may be repeated.
    """
    folders: set[Path] = set()
    for path, data in files:
        if path.parent not in folders:
            make_folder(path.parent)
            folders.add(path.parent)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except OSError:  # half a file helps nobody, least of all on a disk that is full
            with suppress(OSError):
                temporary.unlink()
            raise
    for folder in folders:
        fsync(folder)


def make_folder(folder: Path) -> None:
    """Create a folder and those above it; each new name is durable."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    fsync(folder.parent)


def fsync(path: Path) -> None:
    """Make a file's content, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lacks_room(error: OSError) -> bool:
    """Whether the disk has no byte or inode left for us, or no quota; that passes when somebody makes room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
