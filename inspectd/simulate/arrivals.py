"""The ways in which files come into a simulation's watched folder, each a small function.

A way first asks the scene for its contents, which notes what is expected of them, and only then touches a file. A way
that takes time is a generator that yields the seconds until it goes on. Only `overwritten_after` waits for the daemon.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inspectd.rehearsal.acts import Act
from inspectd.rehearsal.album import Album, Base
from inspectd.rehearsal.arrivals import (
    PAUSE,
    Arrival,
    Drop,
    in_place,
    part_renamed,
    preallocated,
    renamed_in,
    written_slowly,
)
from inspectd.simulate.audit import Expected, Key, Notes

FOLDER = 5  # files in a folder that is moved in
LEVELS = 6  # of new folders, one in the other


@dataclass(frozen=True)
class Content:
    """Bytes under a name, of which the notes know."""

    path: str  # in the watch
    data: bytes
    key: Key


class Scene:
    """Where files arrive, and what they are."""

    def __init__(self, incoming: Path, aside: Path, album: Album, notes: Notes) -> None:
        self.incoming = incoming
        self.aside = aside  # outside of the watch, on the same file system
        self.album = album
        self.notes = notes
        self.taken = 0

    def picture(self, fate: Expected = Expected.JUDGED, folder: str = "", instead_of: Content | None = None) -> Content:
        """A whole image, in a folder of the watch, or under the name of an earlier one."""
        return self._note(self.album.picture(self.taken), fate, folder, instead_of)

    def broken(self, make: Callable[[int], Base]) -> Content:
        """A file that is no whole image."""
        return self._note(make(self.taken), Expected.FAILED, "", None)

    def file(self, content: Content) -> Path:
        return self.incoming / content.path

    def whole(self, *contents: Content) -> None:
        """These files are complete, just now."""
        for content in contents:
            self.notes.whole(content.key, time.time())

    def put(self, content: Content) -> None:
        """Write a file in place, at once."""
        self.file(content).write_bytes(content.data)
        self.whole(content)

    def _note(self, base: Base, fate: Expected, folder: str, instead_of: Content | None) -> Content:
        suffix, data = base
        path = instead_of.path if instead_of else f"{folder}/{self.taken:06d}{suffix}".lstrip("/")
        content = Content(path, data, (path, hashlib.sha256(data).hexdigest()))
        self.notes.note(content.key, fate)
        self.taken += 1
        return content


Way = Callable[[Scene], Act | None]


def single(arrive: Arrival) -> Way:
    """The way in which one whole image arrives like this."""

    def way(scene: Scene) -> Act:
        content = scene.picture()
        yield from arrive(Drop(scene.incoming, scene.aside, content.path, content.data))
        scene.whole(content)

    way.__name__ = arrive.__name__
    return way


def drop_one(scene: Scene) -> None:
    """One image, written at once in its place."""
    scene.put(scene.picture())


def hard_linked(scene: Scene) -> Act:
    """A second name for a file that lies elsewhere; the first name goes later, which changes the file's stat."""
    content = scene.picture()
    outside = scene.aside / content.path
    outside.write_bytes(content.data)
    scene.file(content).hardlink_to(outside)
    scene.whole(content)
    yield 5 * PAUSE
    outside.unlink()


def folder_moved_in(scene: Scene) -> None:
    """A folder with files in it, made elsewhere."""
    name = f"lot-{scene.taken:06d}"
    (scene.aside / name).mkdir()
    contents = [scene.picture(folder=name) for _ in range(FOLDER)]
    for content in contents:
        (scene.aside / content.path).write_bytes(content.data)
    (scene.aside / name).rename(scene.incoming / name)
    scene.whole(*contents)


def deep_new_folders(scene: Scene) -> None:
    """Folders within folders, and a file in each at once."""
    folder = f"deep-{scene.taken:06d}"
    for level in range(LEVELS):
        folder += f"/level-{level}"
        content = scene.picture(folder=folder)
        scene.file(content).parent.mkdir(parents=True)
        scene.put(content)


def overwritten_before(scene: Scene) -> None:
    """By another image under the same name, at once: of the first one nobody can say whether it is seen."""
    first = scene.picture(Expected.PERHAPS)
    second = scene.picture(instead_of=first)
    scene.put(first)
    scene.put(second)


def overwritten_after(scene: Scene) -> Act:
    """By another image under the same name, once the first has its outcome: two images, two verdicts."""
    first = scene.picture()
    second = scene.picture(instead_of=first)
    scene.put(first)
    while not scene.notes.has_outcome(first.key):
        yield PAUSE
    scene.put(second)


def deleted_early(scene: Scene) -> Act:
    """Gone again before its writer closed it."""
    content = scene.picture(Expected.PERHAPS)
    scene.notes.vanish([content.path])
    with scene.file(content).open("wb", buffering=0) as file:
        file.write(content.data)
        yield PAUSE
        scene.file(content).unlink()


def truncated(scene: Scene) -> None:
    """Half an image, which will never be whole."""
    scene.put(scene.broken(scene.album.truncated))


def no_image(scene: Scene) -> None:
    """A text under an image's name."""
    scene.put(scene.broken(scene.album.no_image))


def burst(scene: Scene, size: int) -> None:
    """So many files as fast as the disk takes them."""
    for _ in range(size):
        drop_one(scene)


WAYS: tuple[Way, ...] = (
    *map(single, (in_place, written_slowly, preallocated, part_renamed, renamed_in)),
    *(hard_linked, folder_moved_in, deep_new_folders, overwritten_before, overwritten_after, deleted_early),
    *(truncated, no_image),
)
MOST = LEVELS  # contents that one of the ways takes
