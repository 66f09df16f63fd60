"""Selects the files of a folder of images by name, without opening them."""

import os
from collections.abc import Iterable
from pathlib import Path

from inspectd.config.globs import IMAGE_ENDINGS
from inspectd.errors import DataError
from inspectd.system_names import is_system_name


def is_shown(name: str) -> bool:
    """Whether a file or folder is neither hidden nor reserved by a system."""
    return not name.startswith(".") and not is_system_name(name)


def is_image(path: Path) -> bool:
    """Whether the name is that of an image; a broken link counts too."""
    return path.suffix.lower() in IMAGE_ENDINGS and (path.is_file() or not path.exists())


class DatasetWalk:
    """The files below the folders of `root`.

    Attributes:
        system: The files and folders that were left out because a system reserves them.
    """

    def __init__(self, root: Path, system_files: bool) -> None:
        self._root = root
        self._system_files = system_files
        self.system: set[Path] = set()

    def shown(self, folder: Path, names: Iterable[str]) -> list[str]:
        """The names in a folder that are neither hidden nor reserved."""
        visible = [name for name in names if not name.startswith(".")]
        system = set() if self._system_files else set(filter(is_system_name, visible))
        self.system |= {folder / name for name in system}
        return [name for name in visible if name not in system]

    def files(self, name: str) -> list[Path]:
        """All visible files below the folder of this name, by path."""
        found = []
        for place, folders, names in os.walk(self._root / name, onerror=_refuse):
            folder = Path(place)
            folders[:] = self.shown(folder, folders)
            links = [each for each in folders if (folder / each).is_symlink()]
            found += [folder / each for each in (*self.shown(folder, names), *links)]
        return sorted(found)


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}. Change its permissions, or move it away.")
