"""Decides by its name whether a file is taken, and reads the part from the name. Pure rules; no file is touched.

A path here is relative to the watch's folder, with POSIX separators, as `os.scandir` names it (bytes that are not
UTF-8 are surrogate escapes). Other reasons to skip a name (a link, a folder) are decided elsewhere.
"""

from enum import Enum, auto
from posixpath import basename, splitext

from inspectd.config import Watch
from inspectd.config.globs import matcher
from inspectd.paths import to_text
from inspectd.system_names import is_system_name

# Names that copying programs, browsers and editors give a file until it is whole; then they rename it.
TEMPORARY_ENDINGS = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", "~")
TEMPORARY_BEGINNINGS = (".", "~")


class Fate(Enum):
    """What happens to a file or folder because of its name."""

    TAKEN = auto()  # a file is inspected, a folder entered
    HIDDEN = auto()  # it begins with a dot, or is a temporary name
    SYSTEM = auto()  # a system's own file
    LEFT_OUT = auto()  # by `include` or `ignore`


class Naming:
    """The names that one watch takes: its `include` and `ignore` patterns, `system_files`, and its `fields`.

    A folder that `ignore` names, or whose name begins with a dot, is not entered.
    """

    def __init__(self, watch: Watch) -> None:
        self._included = matcher(watch.include)
        self._ignored = matcher(watch.ignore)
        self._system_files = watch.system_files
        self._fields = watch.fields

    def file(self, path: str) -> Fate:
        """What happens to a file with this path, if its folder is entered."""
        name = basename(path)
        lower = name.lower()
        if lower.startswith(TEMPORARY_BEGINNINGS) or lower.endswith(TEMPORARY_ENDINGS):
            return Fate.HIDDEN
        if not self._system_files and is_system_name(name):
            return Fate.SYSTEM
        return Fate.TAKEN if self._included(name, path) and not self._ignored(name, path) else Fate.LEFT_OUT

    def folder(self, path: str) -> Fate:
        """What happens to a subfolder, if its parent is entered."""
        name = basename(path)
        if name.startswith("."):
            return Fate.HIDDEN
        if not self._system_files and is_system_name(name):
            return Fate.SYSTEM
        return Fate.LEFT_OUT if self._ignored(name, path) else Fate.TAKEN

    def takes(self, path: str) -> bool:
        """Whether a file with this path is inspected, if its folder is entered."""
        return self.file(path) is Fate.TAKEN

    def enters(self, folder: str) -> bool:
        """Whether a subfolder is walked, if its parent is."""
        return self.folder(folder) is Fate.TAKEN

    def reaches(self, path: str) -> bool:
        """Like `takes`, for a path that does not come from a walk: every folder on the way must be entered too."""
        cuts = (index for index, char in enumerate(path) if char == "/")
        return self.takes(path) and all(self.enters(path[:cut]) for cut in cuts)

    def fields(self, path: str) -> tuple[str | None, dict[str, str]]:
        """The part and all named groups that the watch's `fields` pattern finds in the name without its ending."""
        found = self._fields.search(splitext(basename(path))[0]) if self._fields else None
        if found is None:
            return None, {}
        fields = {key: to_text(value) for key, value in found.groupdict().items() if value is not None}
        return fields.get("part"), fields
