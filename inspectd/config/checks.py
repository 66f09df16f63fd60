"""Checks that compare several values of one configuration: names that must differ, folders that must lie apart.

An overlay, archive or database inside a watched folder would itself be inspected, moved or deleted, and a file in two
watches would have two outcomes. The checks only read: they follow links of existing folders and create nothing.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from inspectd.config.document import Key
from inspectd.config.globs import mistaken, odd, takes_no_image
from inspectd.config.schema import Config, Watch

Mistake = tuple[Key, str]
VERDICTS = ("ok", "defect", "review", "failed")


def check(watches: Mapping[int, Watch], output: Path | None, database: Path | None) -> Iterator[Mistake]:
    """Yields every contradiction: the key to blame, and what is wrong with it. A key is blamed once, with the first
    watch that it contradicts. A thousand watches take well below a second.

    Args:
        watches: By their index in the list; invalid ones are left out.
        output: The output folder; None if it is invalid.
        database: The database's file; None if it is invalid.
    """
    folders = _Folders(watches)
    yield from _equal_names(watches)
    yield from folders.overlaps()
    if database is not None:
        yield from folders.holding(("database",), [database])
    if output is not None:
        yield from folders.holding(("output",), [output])
        above = folders.real(output)
        for index, watch in watches.items():
            if above in _parents(folders.real(watch.path)):
                yield ("watch", index, "path"), f"lies inside the output folder {output}; keep the two apart"
    for index, watch in watches.items():
        yield from folders.holding(("watch", index, "model"), [watch.model])
        if watch.after == "move":
            yield from folders.holding(("watch", index, "move_to"), _archives(watch))


def _equal_names(watches: Mapping[int, Watch]) -> Iterator[Mistake]:
    firsts: dict[str, int] = {}
    for index, watch in watches.items():
        first = firsts.setdefault(watch.name.lower(), index)
        if first != index:
            yield (
                ("watch", index, "name"),
                f"is {watch.name!r}, the name of watch[{first}]; names must differ in more than upper and lower case",
            )


class _Folders:
    """The watched folders by their real paths. Each path is resolved once; a lookup costs the depth of the path."""

    def __init__(self, watches: Mapping[int, Watch]) -> None:
        self.real = cache(self._real)
        self._watches = watches
        self._first: dict[str, int] = {}  # the first watch of a folder, by its path
        for index, watch in watches.items():
            self._first.setdefault(self.real(watch.path), index)

    def _real(self, path: str | Path) -> str:
        """Like `os.path.realpath` of an absolute path, but remembers the folders above."""
        parent, name = os.path.split(path)
        if not name:
            return parent
        above = self.real(parent)
        if name in (".", ".."):
            return above if name == "." else os.path.dirname(above)  # noqa: PTH120
        here = os.path.join(above, name)  # noqa: PTH118
        return os.path.realpath(here) if os.path.islink(here) else here  # noqa: PTH114

    def overlaps(self) -> Iterator[Mistake]:
        """Watches that share files with an earlier one."""
        seen: dict[str, int] = {}
        above: dict[str, int] = {}  # the first watch below a folder
        for second, watch in self._watches.items():
            path = self.real(watch.path)
            found = [(seen[path], "is the same folder as")] if path in seen else []
            found += [(seen[parent], "lies inside") for parent in _parents(path) if parent in seen]
            found += [(above[path], "contains")] if path in above else []
            if found:
                first, how = min(found)
                one = self._watches[first]
                yield (
                    ("watch", second, "path"),
                    f"{how} the folder that watch[{first}] {one.name!r} watches, {one.path}; watches may not overlap",
                )
            seen.setdefault(path, second)
            for parent in _parents(path):
                above.setdefault(parent, second)

    def holding(self, key: Key, places: Iterable[Path]) -> Iterator[Mistake]:
        """At most one mistake: the first path that lies in a watched folder, or is one."""
        for place in places:
            path = self.real(place)
            indices = [self._first[folder] for folder in (path, *_parents(path)) if folder in self._first]
            if indices:
                watch = self._watches[min(indices)]
                yield (
                    key,
                    f"lies inside the folder that watch[{min(indices)}] {watch.name!r} watches, {watch.path}; move it "
                    "out",
                )
                return


def _archives(watch: Watch) -> Iterator[Path]:
    """The folders that `move_to` leads to, up to the placeholder for the date."""
    for verdict in VERDICTS:
        yield watch.archive_of(watch=watch.name, verdict=verdict)


def _parents(path: str) -> Iterator[str]:
    """The folders above a real path, the nearest first."""
    while (parent := os.path.dirname(path)) != path:  # noqa: PTH120
        yield parent
        path = parent


def remarks(config: Config) -> Iterator[str]:
    """Yields a sentence for each glob that is allowed but probably wrong: it can match nothing, or other files."""
    for index, watch in enumerate(config.watch):
        found = [("include", glob, takes_no_image(glob) or odd(glob)) for glob in watch.include]
        found += [("ignore", glob, mistaken(glob) or odd(glob)) for glob in watch.ignore]
        for key, glob, reason in found:
            if reason:
                yield f"watch[{index}].{key} (watch {watch.name!r}): {glob!r} {reason}."
