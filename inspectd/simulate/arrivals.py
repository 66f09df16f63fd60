"""The ways in which files come into a watched folder, each a small function.

A way asks the scene for its contents, which notes them in the books, and only then touches a file. A way that takes
time is a generator that yields the seconds until it goes on. Nothing here waits for the daemon, but for the one way
that overwrites a file which has been judged.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from inspectd.simulate.agenda import Act
from inspectd.simulate.album import Album, Base
from inspectd.simulate.books import Books, Fate, Key

PIECES = 5  # of a slow write
PAUSE = 0.2  # seconds between them
FOLDER = 5  # files in a folder that is moved in
LEVELS = 6  # of new folders, one in the other


@dataclass(frozen=True)
class Content:
    """Bytes under a name; the books know of it."""

    path: str  # in the watch
    data: bytes
    key: Key


class Scene:
    """Where files arrive, and what they are."""

    def __init__(self, incoming: Path, aside: Path, album: Album, books: Books) -> None:
        self.incoming = incoming
        self.aside = aside  # outside of the watch, on the same file system
        self.album = album
        self.books = books
        self.taken = 0

    def picture(self, fate: Fate = Fate.JUDGED, folder: str = "", instead_of: Content | None = None) -> Content:
        """A whole image, in a folder of the watch, or under the name of an earlier one."""
        return self._note(self.album.picture(self.taken), fate, folder, instead_of)

    def broken(self, make: Callable[[int], Base]) -> Content:
        """A file that is no whole image."""
        return self._note(make(self.taken), Fate.FAILED, "", None)

    def file(self, content: Content) -> Path:
        return self.incoming / content.path

    def whole(self, *contents: Content) -> None:
        """These files are complete, just now."""
        for content in contents:
            self.books.whole(content.key, time.time())

    def put(self, content: Content) -> None:
        """Write a file in place, at once."""
        self.file(content).write_bytes(content.data)
        self.whole(content)

    def _note(self, base: Base, fate: Fate, folder: str, instead_of: Content | None) -> Content:
        suffix, data = base
        path = instead_of.path if instead_of else f"{folder}/{self.taken:06d}{suffix}".lstrip("/")
        content = Content(path, data, (path, hashlib.sha256(data).hexdigest()))
        self.books.note(content.key, fate)
        self.taken += 1
        return content


Way = Callable[[Scene], Act | None]


def in_place(scene: Scene) -> None:
    scene.put(scene.picture())


def written_slowly(scene: Scene) -> Act:
    """For a while there is half a file under the final name."""
    content = scene.picture()
    with scene.file(content).open("wb", buffering=0) as file:
        yield from _pieces(file, content.data)
    scene.whole(content)


def preallocated(scene: Scene) -> Act:
    """The right size from the start, zeros that are filled bit by bit: as copying programs do."""
    content = scene.picture()
    with scene.file(content).open("wb", buffering=0) as file:
        file.truncate(len(content.data))
        yield PAUSE
        yield from _pieces(file, content.data)
    scene.whole(content)


def part_renamed(scene: Scene) -> Act:
    """Under a temporary name in the watched folder, then renamed."""
    content = scene.picture()
    part = scene.file(content).with_name(f"{content.path}.part")
    part.write_bytes(content.data)
    yield PAUSE
    part.rename(scene.file(content))
    scene.whole(content)


def renamed_in(scene: Scene) -> None:
    """Written elsewhere, then renamed into the watched folder."""
    content = scene.picture()
    outside = scene.aside / content.path
    outside.write_bytes(content.data)
    outside.rename(scene.file(content))
    scene.whole(content)


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
    first = scene.picture(Fate.PERHAPS)
    second = scene.picture(instead_of=first)
    scene.put(first)
    scene.put(second)


def overwritten_after(scene: Scene) -> Act:
    """By another image under the same name, once the first has its outcome: two images, two verdicts."""
    first = scene.picture()
    second = scene.picture(instead_of=first)
    scene.put(first)
    while not scene.books.has_outcome(first.key):
        yield PAUSE
    scene.put(second)


def deleted_early(scene: Scene) -> Act:
    """Gone again before its writer closed it."""
    content = scene.picture(Fate.PERHAPS)
    scene.books.vanish([content.path])
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
        in_place(scene)


WAYS: tuple[Way, ...] = (
    *(in_place, written_slowly, preallocated, part_renamed, renamed_in, hard_linked, folder_moved_in),
    *(deep_new_folders, overwritten_before, overwritten_after, deleted_early, truncated, no_image),
)
MOST = LEVELS  # contents that one of the ways takes


def _pieces(file: IO[bytes], data: bytes) -> Act:
    """Write bit by bit, with a pause after each but the last."""
    size = -(-len(data) // PIECES)
    file.seek(0)
    for start in range(0, len(data), size):
        if start:
            yield PAUSE
        file.write(data[start : start + size])
