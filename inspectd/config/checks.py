"""Checks that compare several values of one configuration: names that must differ, folders that must lie apart.

An overlay, archive or database inside a watched folder would be inspected, moved or deleted in its turn, and a file in
two watches would have two outcomes. This only looks: links are resolved where folders exist, nothing is created.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path

from inspectd.config.document import Key
from inspectd.config.schema import Watch

Mistake = tuple[Key, str]
VERDICTS = ("ok", "defect", "review", "failed")


def check(watches: Mapping[int, Watch], output: Path | None, database: Path | None) -> Iterator[Mistake]:
    """Every contradiction, as the key to blame and what is wrong with it.

    Args:
        watches: by their place in the list; one that is wrong in itself is left out.
        output: the output folder, None when it is wrong in itself.
        database: the database's file, None when it is wrong in itself.
    """
    yield from _equal_names(watches)
    yield from _overlapping_watches(watches)
    if database is not None:
        yield from _in_a_watch(("database",), [database], watches)
    if output is not None:
        yield from _in_a_watch(("output",), [output], watches)
        for index, watch in watches.items():
            if _strictly_inside(watch.path, output):
                yield ("watch", index, "path"), f"lies inside the output folder {output}; keep the two apart"
    for index, watch in watches.items():
        yield from _in_a_watch(("watch", index, "model"), [watch.model], watches)
        if watch.after == "move":
            yield from _in_a_watch(("watch", index, "move_to"), _archives(watch), watches)


def _equal_names(watches: Mapping[int, Watch]) -> Iterator[Mistake]:
    for (first, one), (second, other) in combinations(watches.items(), 2):
        if one.name.lower() == other.name.lower():
            yield (
                ("watch", second, "name"),
                f"is {other.name!r}, the name of watch[{first}]; names must differ in more than upper and lower case",
            )


def _overlapping_watches(watches: Mapping[int, Watch]) -> Iterator[Mistake]:
    for (first, one), (second, other) in combinations(watches.items(), 2):
        how = None
        if _real(one.path) == _real(other.path):
            how = "is the same folder as"
        elif _strictly_inside(other.path, one.path):
            how = "lies inside"
        elif _strictly_inside(one.path, other.path):
            how = "contains"
        if how:
            yield (
                ("watch", second, "path"),
                f"{how} the folder that watch[{first}] {one.name!r} watches, {one.path}; watches may not overlap",
            )


def _in_a_watch(key: Key, places: Iterable[Path], watches: Mapping[int, Watch]) -> Iterator[Mistake]:
    """At most one mistake: the first place that lies in a watched folder, or is one."""
    for place in places:
        for index, watch in watches.items():
            if _real(place).is_relative_to(_real(watch.path)):
                yield (
                    key,
                    f"lies inside the folder that watch[{index}] {watch.name!r} watches, {watch.path}; move it out",
                )
                return


def _archives(watch: Watch) -> Iterator[Path]:
    """The folders that `move_to` leads to, each as far as it is known before there is a date."""
    for verdict in VERDICTS:
        yield watch.archive_of(watch=watch.name, verdict=verdict)


def _strictly_inside(inner: Path, outer: Path) -> bool:
    return _real(outer) in _real(inner).parents


def _real(path: Path) -> Path:
    return path.resolve(strict=False)
