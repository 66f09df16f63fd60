"""Reads a source image once, and never outside its watch.

The bytes that are hashed are the bytes that are decoded. Every folder of the path is opened without following links
(unless the watch says so), so that no name and no link, not even one swapped in a moment ago, leads out of the watch.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inspectd.config import Config
from inspectd.domain import Stat
from inspectd.ledger.records import VANISHED
from inspectd.paths import from_text, to_text

CHUNK = 4096  # bytes asked for at a time, at least; a larger buffer than the file costs as much as the reading


@dataclass(frozen=True)
class Source:
    """The content of one file, with the identity of the very file it was read from."""

    data: bytes
    sha256: str
    stat: Stat


class SourceError(Exception):
    """The file could not be read as a whole; `reason` is ``code: sentence``, or None when it merely changed."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason)
        self.reason = reason


def read(root: Path, path: str, *, follow_links: bool, max_bytes: int) -> Source:
    """Reads the file at ``path`` (ledger text, relative to ``root``) and hash what was read.

    Raises:
        SourceError: with a reason when the file is gone, too large or cannot be read; without one when it changed
            while it was being read, so that it must settle again.
    """
    try:
        with _opened(root, from_text(path), follow_links) as descriptor:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise SourceError("unreadable: it is not a regular file")
            if before.st_size > max_bytes:
                raise SourceError(f"too large: {before.st_size:,} bytes; limits.bytes allows {max_bytes:,}")
            data = _read_all(descriptor, before.st_size, max_bytes)
            after = os.fstat(descriptor)
    except FileNotFoundError:
        raise SourceError(f"{VANISHED}: it was gone before it could be read") from None
    except OSError as error:
        raise SourceError(f"unreadable: {error.strerror or error}") from error
    if Stat.of(before) != Stat.of(after) or len(data) != after.st_size:
        raise SourceError(None)
    return Source(data, hashlib.sha256(data).hexdigest(), Stat.of(after))


def read_again(config: Config, watch: str, path: str, moved_to: str | None, sha256: str) -> Source:
    """Reads the file of an earlier image, wherever `after: move` has put it; only the content that was judged will do.

    Args:
        path, moved_to: As in the image's row.
        sha256: Of the content that was judged.

    Raises:
        SourceError: Always with a reason: the file is gone, cannot be read, or has other content now.
    """
    found = next((each for each in config.watch if each.name == watch), None)
    if found is None:
        raise SourceError(f"no watch: the configuration has no watch {watch}")
    root = found.path
    if moved_to:
        there = Path(from_text(moved_to))
        root, path = there.parent, to_text(there.name)
    try:
        source = read(root, path, follow_links=found.follow_links, max_bytes=config.limits.bytes)
    except SourceError as error:
        raise SourceError(error.reason or "changed: it was written to while it was read") from error
    if source.sha256 != sha256:
        raise SourceError("changed: it is not the content that was judged")
    return source


@contextmanager
def _opened(root: Path, relative: str, follow_links: bool) -> Iterator[int]:
    """A descriptor of the file, opened folder by folder so that a link anywhere in the path is refused."""
    # O_NONBLOCK: opening a FIFO that someone left in the watch must not hang the worker.
    parts = Path(relative).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in relative:
        raise SourceError("unreadable: its path names no file in the watch")
    link_flag = 0 if follow_links else os.O_NOFOLLOW
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        *parents, name = parts
        for parent in parents:
            inner = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | link_flag, dir_fd=folder)
            os.close(folder)
            folder = inner
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | link_flag, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, expected: int, max_bytes: int) -> bytes:
    """Everything up to the end of the file; a file that grows past the limit meanwhile is not read to its end."""
    chunks: list[bytes] = []
    length = 0
    while length <= max_bytes and (chunk := os.read(descriptor, max(CHUNK, expected + 1 - length))):
        chunks.append(chunk)
        length += len(chunk)
    return b"".join(chunks)
