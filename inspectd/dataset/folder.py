"""Reads a folder that has one folder of images for each class.

Files at any depth below a class's folder belong to it; names that begin with a dot, names that a NAS or a system
reserves, and masks do not. Links to files are followed, links to folders below a class's are not. Only files that are
named like masks are opened.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from inspectd.dataset.layouts import layout
from inspectd.dataset.masks import SortedOut, is_mask_folder, sort_out
from inspectd.dataset.walk import DatasetWalk, is_image, is_shown
from inspectd.errors import DataError
from inspectd.model.spec import ImageClass
from inspectd.paths import to_text


@dataclass(frozen=True)
class FoundFile:
    """A file in a class's folder with the name of an image.

    Attributes:
        path: Relative to the data's folder, with `/`, as text (see `inspectd.paths`).
        target: The index of its class.
    """

    path: str
    target: int


@dataclass(frozen=True)
class Folder:
    """The content of a folder that has a folder for each class.

    Attributes:
        names: The names of the folders that may be classes, sorted; without folders that are named like masks and hold
            no image.
        images: By name of the folder, the paths of its images relative to `root`, sorted.
        others: The paths of other things in these folders: files with other endings, and links to folders.
        system: The paths of reserved files and folders, if they are left out.
        masks: The paths of pictures that are left out as masks.
        remarks: Sentences about masks that a user should read.
    """

    root: Path
    names: tuple[str, ...]
    images: dict[str, tuple[str, ...]]
    others: tuple[str, ...]
    system: tuple[str, ...]
    masks: tuple[str, ...]
    remarks: tuple[str, ...]

    def left_out(self, name: str) -> list[str]:
        """The masks in a class's folder."""
        return [path for path in self.masks if path.startswith(f"{to_text(name)}/")]

    def layout(self) -> str | None:
        """Advice if the folder is a public data set instead of one folder for each class."""
        loose = [to_text(path.name) for path in self.root.iterdir() if is_shown(path.name) and is_image(path)]
        return layout(
            self.root, [*loose, *self.masks, *(path for of_class in self.images.values() for path in of_class)]
        )


def open_folder(root: Path, system_files: bool = False) -> Folder:
    """Reads everything below a folder, and leaves out masks.

    Args:
        system_files: Whether files that a NAS or an operating system reserves count as images too.

    Raises:
        DataError: it is not a folder, or a folder below it cannot be read.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder. Give a folder that has one folder of images for each class.")
    walk = DatasetWalk(root, system_files)
    shown = walk.shown(root, sorted(entry.name for entry in root.iterdir()))
    files = {name: walk.files(name) for name in shown if (root / name).is_dir()}
    pictures = {name: [_text(root, path) for path in paths if is_image(path)] for name, paths in files.items()}
    sorted_out = sort_out(root, [path for paths in pictures.values() for path in paths])
    images = {name: tuple(path for path in paths if path not in sorted_out.masks) for name, paths in pictures.items()}
    classes = tuple(name for name in files if images[name] or not is_mask_folder(name))
    return Folder(
        root=root,
        names=classes,
        images=images,
        others=tuple(_text(root, path) for name in classes for path in files[name] if not is_image(path)),
        system=tuple(sorted(_text(root, path) for path in walk.system)),
        masks=tuple(sorted(sorted_out.masks)),
        remarks=tuple(_remarks(root, sorted_out)),
    )


def find_classes(folder: Folder, ok: Sequence[str]) -> tuple[ImageClass, ...]:
    """The classes of a folder, OK classes first, each group by name.

    Args:
        ok: The names of the classes that pass.

    Raises:
        DataError: there is no class, a name cannot be that of a class, an OK class does not exist, or only one kind of
            class is left.
    """
    root, names = folder.root, folder.names
    unknown = [name for name in ok if name not in names]
    if (not names or unknown) and (advice := folder.layout()):
        raise DataError(advice)
    remarks = "".join(f" {remark}" for remark in folder.remarks)  # a folder of only masks is not a class
    if not names:
        raise DataError(f"{root} has no folders. Put the images of each class into a folder of its own.{remarks}")
    if unknown:
        raise DataError(f"--ok {unknown[0]}: {root} has no such class. It has {', '.join(names)}.{remarks}")
    if all(name in ok for name in names):
        raise DataError(
            f"{root} has only OK classes ({', '.join(names)}). A model needs at least one class of defects.{remarks}"
        )
    if not ok:
        raise DataError(f"No class of {root} is named as good. Name it with --ok; there are {', '.join(names)}.")
    classes = (_class(root, name, name in ok) for name in names)
    return tuple(sorted(classes, key=lambda each: (not each.ok, each.name)))


def find_images(folder: Folder, classes: Sequence[ImageClass]) -> list[FoundFile]:
    """The images of every class, class by class, each by path; a class without a folder has no images.

    Raises:
        DataError: there is no image, or a folder is not one of the classes.
    """
    root, names = folder.root, [each.name for each in classes]
    unknown = [name for name in folder.names if name not in names]
    found = [FoundFile(path, target) for target, name in enumerate(names) for path in folder.images.get(name, ())]
    if (unknown or not found) and (advice := folder.layout()):
        raise DataError(advice)
    if unknown:
        raise DataError(
            f"{root / unknown[0]} is not one of the classes {', '.join(names)}. Move the folder away, or give it the "
            "name of the class that it holds."
        )
    if not found:
        raise DataError(
            f"{root} has no images of the classes {', '.join(names)}. Put each class into a folder of its name."
        )
    return found


def _remarks(root: Path, found: SortedOut) -> Iterator[str]:
    if found.masks:
        yield (
            f"Left out as masks of other pictures, by their names and their few grey levels: {len(found.masks)}, such "
            f"as {min(found.masks)}."
        )
    if found.doubtful:
        yield (
            f"Used as images, although their names are those of masks or of other images: {len(found.doubtful)}, such "
            f"as {found.doubtful[0]}. Their grey levels do not show that they are masks; move those that are out of "
            f"{root}."
        )


def _class(root: Path, name: str, ok: bool) -> ImageClass:
    try:
        return ImageClass(name, ok)
    except ValidationError:
        raise DataError(
            f"{root / name}: a folder's name is that of its class, and that is 1 to 64 characters in UTF-8. Rename it."
        ) from None


def _text(root: Path, path: Path) -> str:
    return to_text(path.relative_to(root).as_posix())
