"""Counts the files that a walk over a watched folder leaves out, by ending, so that a user sees which files no glob
names.

Hidden and temporary names are not counted: such a file is not an image, or gets another name when it is whole.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import splitext

FOLDER, LINK, NO_ENDING, OTHER = "folder", "link", "no ending", "other ending"
MOST_ENDINGS = 100  # different endings; a program that numbers its endings would otherwise fill the memory
SHOWN = 6

_ENDING = re.compile(r"\.[a-z0-9_+-]{1,10}")

Counts = dict[str, int]  # by ending in lower case, or one of the words above


@dataclass
class LeftOut:
    """The files that one walk left out. A folder that was not entered counts as one, whatever lies in it.

    Attributes:
        globs: By `include`, `ignore`, `recursive: false` or `follow_links: false`.
        system: A system's own files and folders (`inspectd.system_names`).
    """

    globs: Counts = field(default_factory=dict)
    system: Counts = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.globs or self.system)

    def __str__(self) -> str:
        """``120 .tiff, 3 .txt; a system's own, left alone: 2 folders``"""
        system = f"a system's own, left alone: {_in_words(self.system)}" if self.system else ""
        return "; ".join(filter(None, (_in_words(self.globs), system)))


def count(counts: Counts, what: str) -> None:
    """Counts one more."""
    if what not in counts and len(counts) >= MOST_ENDINGS:
        what = OTHER
    counts[what] = counts.get(what, 0) + 1


def ending(name: str) -> str:
    """The ending under which a file's name is counted."""
    found = splitext(name)[1].lower()
    return found if _ENDING.fullmatch(found) else OTHER if found else NO_ENDING


def _in_words(counts: Mapping[str, int]) -> str:
    """The counts as text, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    words = [f"{number:,} {_plural(what, number)}" for what, number in ordered[:SHOWN]]
    if rest := sum(number for _, number in ordered[SHOWN:]):
        words.append(f"{rest:,} more")
    return ", ".join(words)


def _plural(what: str, number: int) -> str:
    if what in (NO_ENDING, OTHER):
        return f"with {'no' if what == NO_ENDING else 'another'} ending"
    return what if what.startswith(".") or number == 1 else f"{what}s"
