"""Moves or deletes a source file after its outcome is committed: `after: keep | move | delete`.

Only the very file that was judged is moved or deleted. First the file is renamed to a private name, where a writer
that opens the old name cannot reach it, and checked again; if it is not the judged file, it gets its name back. Every
step can be repeated after a crash: the private name carries the image's id, and a file found under it is checked like
any other.
"""

import errno
import filecmp
import os
import shutil
import stat
from pathlib import Path

from inspectd.config import Watch
from inspectd.domain import Stat, Verdict
from inspectd.durable import fsync, make_folder, rename_to_free
from inspectd.ledger.records import Finished
from inspectd.ledger.schema import After
from inspectd.paths import from_text, to_text

NAME_BYTES = 180  # of a stem that gets an addition, so that the whole name stays below the usual limit of 255


def concerns(watch: Watch, outcome: str) -> bool:
    """Whether the file of an image with this outcome is moved or deleted at all."""
    return watch.after == "move" or (watch.after == "delete" and outcome == Verdict.OK)


def carry_out(watch: Watch, owed: Finished) -> tuple[After, str | None]:
    """Moves or deletes the source of one finished image, as its watch says.

    Returns:
        What became of the file, and where it was moved to (absolute, as ledger text).

    Raises:
        OSError: the file system refuses. Nothing is lost, and the same call may be made again.
    """
    if not concerns(watch, owed.outcome):
        return After.KEPT, None
    source, private = _stages(watch, owed)
    taken = _take(source, private, owed.stat)
    if watch.after == "delete":
        if taken:
            private.unlink()
            fsync(private.parent)
        return (After.DELETED if taken or not os.path.lexists(source) else After.KEPT), None
    targets = _targets(watch, owed, source.name)
    # Under neither name: an earlier attempt may have moved the file and died before it could record that.
    moved_to = (
        _move(private, targets) if taken else next((path for path in targets if is_judged(path, owed.stat)), None)
    )
    return (After.MOVED, to_text(str(moved_to))) if moved_to else (After.KEPT, None)


def places(watch: Watch, owed: Finished) -> tuple[Path, ...]:
    """Returns every path where the source of a finished image may lie if `carry_out` was interrupted."""
    source, private = _stages(watch, owed)
    return source, private, *(_targets(watch, owed, source.name) if watch.after == "move" else ())


def _stages(watch: Watch, owed: Finished) -> tuple[Path, Path]:
    """The source's own name, and the private name that it has while it is checked again."""
    source = watch.path / from_text(owed.path)
    return source, source.with_name(f".inspectd-{owed.image_id}.tmp")


def _take(source: Path, private: Path, judged: Stat) -> bool:
    """Renames the judged file to its private name; False if it is under neither name any more."""
    if not os.path.lexists(private):
        try:
            if Stat.of(source.lstat()) != judged:
                return False
            source.rename(private)
        except FileNotFoundError:
            return False
    if is_judged(private, judged):
        return True
    _put_back(private, source)
    return False


def is_judged(path: Path, judged: Stat) -> bool:
    """Whether a file, perhaps moved, is the judged one, by its size and the time of its last change.

    Raises:
        OSError: it cannot be known.
    """
    try:
        now = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(now.st_mode) and judged.is_of_moved(now)


def _put_back(private: Path, source: Path) -> None:
    """Gives an unjudged file its name back, without overwriting a newer file that took the name meanwhile."""
    try:
        rename_to_free(private, source)
    except FileExistsError:
        private.rename(source.with_name(_with(source.name, private.stem)))


def _targets(watch: Watch, owed: Finished, name: str) -> tuple[Path, Path]:
    """The targets to try: the file's own name, then the name with the image's id, in case the first is taken."""
    folder = Path(watch.move_to.format(watch=watch.name, verdict=owed.outcome, date=owed.finished_at[:10]))
    return folder / name, folder / _with(name, f"-{owed.image_id}")


def _with(name: str, addition: str) -> str:
    """``stem`` + addition + ``.suffix``, short enough for a file name."""
    suffix = Path(name).suffix if len(os.fsencode(Path(name).suffix)) < 16 else ""
    stem = os.fsencode(name.removesuffix(suffix))[:NAME_BYTES]
    return f"{os.fsdecode(stem)}{addition}{suffix}"


def _move(private: Path, targets: tuple[Path, Path]) -> Path:
    make_folder(targets[0].parent)
    for target in targets:
        if _bring(private, target):
            fsync(private.parent)
            return target
    raise FileExistsError(errno.EEXIST, "another file has the name with the image's id", str(targets[1]))


def _bring(source: Path, target: Path) -> bool:
    """Renames unless the target exists, also across file systems; False if another file has the name."""
    try:
        rename_to_free(source, target)
        return True
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EEXIST):
            raise
        if os.path.lexists(target):
            if not _same(source, target):
                return False
        else:
            _copy(source, target)
    fsync(target.parent)
    source.unlink()
    return True


def _same(source: Path, target: Path) -> bool:
    """Whether an interrupted earlier attempt has already brought this content to its target."""
    return target.is_file() and (target.samefile(source) or filecmp.cmp(source, target, shallow=False))


def _copy(source: Path, target: Path) -> None:
    """Copies to another file system; the copy is whole and durable before it gets its final name."""
    temporary = target.with_name(source.name)
    shutil.copy2(source, temporary)
    fsync(temporary)
    temporary.rename(target)
