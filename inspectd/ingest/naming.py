"""Which names of a watched folder are looked at, and what a name says about the part. Pure rules, no file is touched.

A path here is relative to the watch's folder, with POSIX separators, as `os.scandir` names it (bytes that are not
UTF-8 are surrogate escapes). Whoever skips a name for another reason (a link, a folder) does so elsewhere.
"""

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from posixpath import basename, splitext

from inspectd.config import Watch
from inspectd.paths import to_text

# What copying programs, browsers and editors call a file until it is whole: it is looked at once it is renamed.
TEMPORARY_ENDINGS = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", "~")
TEMPORARY_BEGINNINGS = (".", "~")


class Naming:
    """The names that one watch takes: its `include` and `ignore` patterns, and its `fields`.

    Patterns are globs without regard to case, tried on the file's name and on its relative path; a ``*`` also spans
    ``/``. A folder that `ignore` names, or whose name begins with a dot, is not entered.
    """

    def __init__(self, watch: Watch) -> None:
        self._included = _matcher(watch.include)
        self._ignored = _matcher(watch.ignore)
        self._fields = watch.fields

    def takes(self, path: str) -> bool:
        """Whether a file of this path is to be inspected, given that its folder is entered."""
        name = basename(path)
        lower = name.lower()
        if lower.startswith(TEMPORARY_BEGINNINGS) or lower.endswith(TEMPORARY_ENDINGS):
            return False
        return self._included(name, path) and not self._ignored(name, path)

    def enters(self, folder: str) -> bool:
        """Whether a subfolder is walked, given that its parent is."""
        name = basename(folder)
        return not name.startswith(".") and not self._ignored(name, folder)

    def reaches(self, path: str) -> bool:
        """`takes`, of a path that did not come from a walk: every folder on the way must be one that is entered."""
        cuts = (index for index, char in enumerate(path) if char == "/")
        return self.takes(path) and all(self.enters(path[:cut]) for cut in cuts)

    def fields(self, path: str) -> tuple[str | None, dict[str, str]]:
        """The part and all named groups that the watch's `fields` pattern finds in the name without its ending."""
        found = self._fields.search(splitext(basename(path))[0]) if self._fields else None
        if found is None:
            return None, {}
        fields = {key: to_text(value) for key, value in found.groupdict().items() if value is not None}
        return fields.get("part"), fields


def _matcher(globs: Iterable[str]) -> Callable[[str, str], bool]:
    pattern = re.compile("|".join(translate(glob) for glob in globs) or r"(?!)", re.IGNORECASE)
    return lambda name, path: bool(pattern.match(name) or pattern.match(path))
