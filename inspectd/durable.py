"""Files that are either not there or whole: temporary name, fsync, rename, fsync of the folder."""

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path

OPEN_MOST = 64  # files that are open at a time
NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
FLUSHERS = 4  # threads that wait for the disk: what is waited for together, a journal commits together


def write_all(files: Iterable[tuple[Path, bytes]], alive: Callable[[], None] = lambda: None) -> None:
    """Write many files durably, with one fsync for each folder at the end. Existing files are replaced whole.

    Args:
        alive: Is called for each file that is on the disk: a slow one takes its time.

    Raises:
        OSError: when the file system refuses; files already renamed stay, and the call may be repeated.
    """
    folders: set[Path] = set()
    rest = iter(files)
    while some := list(islice(rest, OPEN_MOST)):
        for folder in {path.parent for path, _ in some} - folders:
            make_folder(folder)
            folders.add(folder)
        _write_some(some, alive)
    for folder in folders:
        fsync(folder)


def _write_some(files: Sequence[tuple[Path, bytes]], alive: Callable[[], None]) -> None:
    """Write all of them, then wait for the disk once for all, then give them their names."""
    temporaries = [path.with_name(f".{path.name}.tmp") for path, _ in files]
    try:
        with ThreadPoolExecutor(min(FLUSHERS, len(files))) as flushers, ExitStack() as stack:
            opened = []
            for temporary, (_, data) in zip(temporaries, files, strict=True):
                file = stack.enter_context(temporary.open("wb"))
                file.write(data)
                file.flush()
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # the disk begins now, beside the others
                opened.append(file.fileno())
                alive()
            for _ in flushers.map(os.fsync, opened):
                alive()
        for temporary, (path, _) in zip(temporaries, files, strict=True):
            temporary.rename(path)
    except OSError:  # half a file helps nobody, least of all on a disk that is full
        for temporary in temporaries:
            with suppress(OSError):
                temporary.unlink()
        raise


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


def rename_to_free(source: Path, target: Path) -> None:
    """Rename a file unless the name is taken, durably: at every moment one of the two names leads to the file.

    Raises:
        FileExistsError: the name is taken, even if it was taken a moment ago.
        OSError: the file system refuses; `errno.EXDEV` if the two lie on different ones.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        if os.path.lexists(target):  # without hard links, this look is the only protection
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.rename(target)
        fsync(target.parent)
        return
    fsync(target.parent)
    source.unlink()


def lacks_room(error: OSError) -> bool:
    """Whether the disk has no byte or inode left for us, or no quota; that passes when somebody makes room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
