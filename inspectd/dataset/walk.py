"""Which files of a folder of images are looked at, by their names. No file is opened here."""

import os
from collections.abc import Iterable
from pathlib import Path

from inspectd.config.globs import IMAGE_ENDINGS
from inspectd.errors import DataError
from inspectd.system_names import is_system_name


def is_shown(name: str) -> bool:
    """Whether a file or folder is a person's own: neither hidden nor a system's."""
    return not name.startswith(".") and not is_system_name(name)


def is_image(path: Path) -> bool:
    """Whether it claims to be one; a link that leads to nothing may well have been."""
    return path.suffix.lower() in IMAGE_ENDINGS and (path.is_file() or not path.exists())


class DatasetWalk:
    """The files below the folders of `root`.

    Attributes:
        system: The files and folders that were passed over because a system keeps them for itself.
    """

    def __init__(self, root: Path, system_files: bool) -> None:
        self._root = root
        self._system_files = system_files
        self.system: set[Path] = set()

    def shown(self, folder: Path, names: Iterable[str]) -> list[str]:
        """Those of a folder's names that are neither hidden nor a system's."""
        visible = [name for name in names if not name.startswith(".")]
        system = set() if self._system_files else set(filter(is_system_name, visible))
        self.system |= {folder / name for name in system}
        return [name for name in visible if name not in system]

    def files(self, name: str) -> list[Path]:
        """Everything below the folder with this name, by path, that is shown and no folder itself."""
        found = []
        for place, folders, names in os.walk(self._root / name, onerror=_refuse):
            folder = Path(place)
            folders[:] = self.shown(folder, folders)
            links = [each for each in folders if (folder / each).is_symlink()]
            found += [folder / each for each in (*self.shown(folder, names), *links)]
        return sorted(found)


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}. Let it be read, or move it away.")
