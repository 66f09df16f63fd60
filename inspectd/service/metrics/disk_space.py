"""Free space on the disks of the output and the ledger."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inspectd.config import Config


@dataclass(frozen=True)
class DiskSpace:
    """The space that an unprivileged process may still use; `inodes` is None if the file system counts none."""

    place: str
    bytes: int
    inodes: int | None


def disk_folders(config: Config) -> dict[str, Path]:
    """The folders whose disks must not fill up, by what is kept there."""
    return {"output": config.output, "ledger": config.database_file.parent}


def disk_space(folders: Mapping[str, Path]) -> list[DiskSpace]:
    """Measures the free space now; leaves out a folder that cannot be read."""
    found = []
    for place, folder in folders.items():
        try:
            disk = os.statvfs(folder)
        except OSError:
            continue
        found.append(DiskSpace(place, disk.f_bavail * disk.f_frsize, disk.f_favail if disk.f_files else None))
    return found
