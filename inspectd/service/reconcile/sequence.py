"""Finds gaps in numbered names: the numbers of a series that never arrived. It opens no file.

It sorts the names in a private SQLite database on the disk, which disappears with the process, so that neither a
million names nor a gap of a billion numbers takes memory.
"""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from inspectd.paths import from_text, to_text

NUMBER = "number"  # the group with the number, if that is not the first group


@dataclass(frozen=True)
class Missing:
    """The missing numbers from `first` to `last` of a series, between two names that arrived."""

    watch: str
    before: str
    behind: str
    first: int
    last: int

    @property
    def numbers(self) -> str:
        """The numbers as people write them: ``7``, or ``7-12 (6)``."""
        return (
            str(self.first) if self.first == self.last else f"{self.first}-{self.last} ({self.last - self.first + 1})"
        )


class NumberSequences:
    """The numbered names of watches, and the gaps in them.

    Args:
        pattern: Searched in the file's name without its ending, like `fields`. The group `number`, or else the first
            group, is the number; the other groups, the watch and the folder tell series apart.
    """

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._number = pattern.groupindex.get(NUMBER, 1)
        self._names = sqlite3.connect("", isolation_level=None)
        # A number as its count of digits and its digits sorts as a number of any length.
        self._names.execute(
            "CREATE TABLE names (watch TEXT, series TEXT, width INTEGER, digits TEXT, path TEXT, "
            "PRIMARY KEY (watch, series, width, digits)) WITHOUT ROWID"
        )
        self._names.execute("BEGIN")

    def add(self, watch: str, path: str) -> None:
        """Adds a file that arrived, by its path in the watch, as the ledger writes it."""
        name = PurePosixPath(path)
        found = self._pattern.search(from_text(name.stem))
        if found is None or not (found[self._number] or "").isdecimal():
            return
        digits = str(int(found[self._number]))
        others = [value or "" for index, value in enumerate(found.groups(), 1) if index != self._number]
        series = "\0".join([str(name.parent), *map(to_text, others)])
        row = (watch, series, len(digits), digits, path)
        self._names.execute("INSERT OR IGNORE INTO names VALUES (?, ?, ?, ?, ?)", row)

    def missing(self) -> Iterator[Missing]:
        """Yields every gap between the first and the last number of each series."""
        before: tuple[str, str, int, str] | None = None
        rows = self._names.execute(
            "SELECT watch, series, digits, path FROM names ORDER BY watch, series, width, digits"
        )
        for watch, series, digits, path in rows:
            number = int(digits)
            if before and before[:2] == (watch, series) and number > before[2] + 1:
                yield Missing(watch, before[3], path, before[2] + 1, number - 1)
            before = (watch, series, number, path)
