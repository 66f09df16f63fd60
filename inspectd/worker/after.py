"""What happens to a source file once its outcome is committed: `after: keep | move | delete`.

It acts only on the very file that was judged. The file is first renamed to a private name, where no writer that opens
it by its old name can reach it, and looked at again; whatever is not the judged file is put back. Every step can be
repeated after a crash: the private name carries the image's id.
"""

import errno
import filecmp
import os
import shutil
from pathlib import Path

from inspectd.config import Watch
from inspectd.durable import fsync_folder
from inspectd.ledger.records import Finished, Stat
from inspectd.ledger.schema import After, Verdict
from inspectd.paths import from_text, to_text

NAME_BYTES = 180  # of the old name's stem, where the id is added: the whole stays below the usual limit of 255


def carry_out(watch: Watch, owed: Finished) -> tuple[After, str | None]:
    """Move or delete the source of one finished image, as its watch says.

    Returns:
        What became of the file, and where it was moved to (absolute, as ledger text).

    Raises:
        OSError: when the file system refuses; nothing is lost and the same call may be made again.
    """
    source = watch.path / from_text(owed.path)
    if watch.after == "keep" or (watch.after == "delete" and owed.outcome != Verdict.OK):
        return After.KEPT, None
    private = source.with_name(f".inspectd-{owed.image_id}.tmp")
    # A private name that is already there is a move that a crash interrupted: go on with it.
    if not private.exists() and not _take(source, private, owed.stat):
        return After.KEPT, None
    if watch.after == "delete":
        private.unlink()
        fsync_folder(private.parent)
        return After.DELETED, None
    destination = _move(private, _target_folder(watch, owed), source.name, owed.image_id)
    return After.MOVED, to_text(str(destination))


def _take(source: Path, private: Path, judged: Stat) -> bool:
    """Rename the source to its private name if it is, before and after, the file that was judged."""
    try:
        before = source.lstat()
        if Stat.of(before) != judged:
            return False
        source.rename(private)
    except FileNotFoundError:
        return False
    now = private.lstat()
    # The rename itself changed ctime; the inode, the size and the time of the last write must be the same.
    if (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) == (
        before.st_dev,
        before.st_ino,
        judged.size,
        judged.mtime_ns,
    ):
        return True
    _put_back(private, source)
    return False


def _put_back(private: Path, source: Path) -> None:
    """Give an unjudged file its name back without destroying a newer file that took the name meanwhile."""
    if not _rename_to_free(private, source):
        spare = source.with_name(f"{source.stem}{private.stem}{source.suffix}")
        private.rename(spare)


def _move(private: Path, folder: Path, name: str, image_id: int) -> Path:
    """Move ``private`` into ``folder`` under ``name``, or with the image id added where the name is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    short = os.fsdecode(os.fsencode(Path(name).stem)[:NAME_BYTES])
    with_id = f"{short}-{image_id}{Path(name).suffix}"
    for destination in (folder / name, folder / with_id):
        if _rename_to_free(private, destination):
            fsync_folder(folder)
            fsync_folder(private.parent)
            return destination
    raise FileExistsError(errno.EEXIST, "another file has the name with the image's id", str(folder / with_id))


def _rename_to_free(source: Path, destination: Path) -> bool:
    """Rename unless the destination exists, across file systems too; False when the name is taken."""
    try:
        os.link(source, destination, follow_symlinks=False)
    except OSError as error:
        if destination.exists():
            if not _same(source, destination):
                return False
        elif error.errno == errno.EXDEV:
            _copy(source, destination)
        elif error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            source.rename(destination)  # a file system without hard links
            return True
        else:
            raise
    source.unlink()
    return True


def _same(source: Path, destination: Path) -> bool:
    """Whether an earlier attempt, cut short, has already brought this very content to its destination."""
    return destination.samefile(source) or filecmp.cmp(source, destination, shallow=False)


def _copy(source: Path, destination: Path) -> None:
    """Copy to another file system: whole and durable under its final name before the source goes."""
    temporary = destination.with_name(f".{destination.name}.tmp"[-255:])
    shutil.copy2(source, temporary)
    with temporary.open("rb") as copied:
        os.fsync(copied.fileno())
    temporary.rename(destination)
    fsync_folder(destination.parent)


def _target_folder(watch: Watch, owed: Finished) -> Path:
    return Path(watch.move_to.format(watch=watch.name, verdict=owed.outcome, date=owed.finished_at[:10]))
