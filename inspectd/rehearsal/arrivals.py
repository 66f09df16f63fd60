"""The ways in which cameras, copying programs and people bring one file into a watched folder.

Each is a small act on one `Drop`. It yields the seconds until it goes on, and ends when the file is whole.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from inspectd.rehearsal.acts import Act

PIECES = 5  # of a slow write
PAUSE = 0.2  # seconds between them


@dataclass(frozen=True)
class Drop:
    """A file that is about to arrive."""

    incoming: Path  # the watched folder
    aside: Path  # a folder outside the watch, on the same file system
    path: str  # in the watch
    data: bytes

    @property
    def file(self) -> Path:
        return self.incoming / self.path

    @property
    def outside(self) -> Path:
        return self.aside / self.path


Arrival = Callable[[Drop], Act]


def in_place(drop: Drop) -> Act:
    """Written at once under its name."""
    drop.file.write_bytes(drop.data)
    yield from ()


def written_slowly(drop: Drop) -> Act:
    """Written in pieces with pauses: for a while there is half a file under the final name."""
    with drop.file.open("wb", buffering=0) as file:
        yield from _pieces(file, drop.data)


def preallocated(drop: Drop) -> Act:
    """Has the right size from the start; zeros are overwritten piece by piece, as copying programs do."""
    with drop.file.open("wb", buffering=0) as file:
        file.truncate(len(drop.data))
        yield PAUSE
        yield from _pieces(file, drop.data)


def part_renamed(drop: Drop) -> Act:
    """Written under a temporary name in the watched folder, then renamed."""
    part = drop.file.with_name(f"{drop.file.name}.part")
    part.write_bytes(drop.data)
    yield PAUSE
    part.rename(drop.file)


def renamed_in(drop: Drop) -> Act:
    """Written elsewhere, then renamed into the watched folder."""
    drop.outside.write_bytes(drop.data)
    drop.outside.rename(drop.file)
    yield from ()


def _pieces(file: IO[bytes], data: bytes) -> Act:
    """Writes piece by piece, with a pause after each but the last."""
    size = -(-len(data) // PIECES)
    file.seek(0)
    for start in range(0, len(data), size):
        if start:
            yield PAUSE
        file.write(data[start : start + size])
