"""A folder of images for each class: which classes there are, and which files belong to them. No file is opened here.

Files at any depth below a class's folder belong to it; names that begin with a dot do not. Links to files are
followed, links to folders below a class's are not.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from inspectd.config.globs import IMAGE_ENDINGS
from inspectd.errors import DataError
from inspectd.model.spec import ImageClass
from inspectd.paths import to_text

SUFFIXES = IMAGE_ENDINGS
MASKS = {"mask", "masks", "ground_truth"}  # as public data sets name them


@dataclass(frozen=True)
class Found:
    """A file that claims to be an image of a class.

    Attributes:
        path: Relative to the data's folder, with `/`, as text (see `inspectd.paths`).
        target: The index of its class.
    """

    path: str
    target: int


def find_classes(root: Path, ok: Sequence[str]) -> tuple[ImageClass, ...]:
    """The class folders of `root`, OK classes first, each group by name.

    Args:
        ok: The names of the classes that pass.

    Raises:
        DataError: there are none, one's name is no name of a class, an OK name is not among them, or nothing is left
            to tell apart.
    """
    names = _folders(root)
    if not names:
        raise DataError(f"{root} has no folders. Put the images of each class into a folder of its own.")
    if unknown := [name for name in ok if name not in names]:
        raise DataError(f"--ok {unknown[0]}: {root} has no such class. It has {', '.join(names)}.")
    if all(name in ok for name in names):
        raise DataError(
            f"{root} has only OK classes ({', '.join(names)}). A model needs at least one class of defects."
        )
    if not ok:
        raise DataError(f"No class of {root} is named as good. Name it with --ok; there are {', '.join(names)}.")
    classes = (_class(root, name, name in ok) for name in names)
    return tuple(sorted(classes, key=lambda each: (not each.ok, each.name)))


def find_images(root: Path, classes: Sequence[ImageClass]) -> list[Found]:
    """The files of every class, class by class, each by path; a class without a folder has none.

    Raises:
        DataError: `root` is no folder, holds no image at all, or has a folder that is none of the classes.
    """
    names = [each.name for each in classes]
    if unknown := [name for name in _folders(root) if name not in names]:
        raise DataError(
            f"{root / unknown[0]} is none of the classes {', '.join(names)}. Move the folder away, or give it the name "
            "of the class that it holds."
        )
    found = [
        Found(to_text(path.relative_to(root).as_posix()), target)
        for target, name in enumerate(names)
        for path in _images(root / name)
    ]
    if not found:
        raise DataError(
            f"{root} has no images of the classes {', '.join(names)}. Put each class into a folder of its name."
        )
    return found


def _class(root: Path, name: str, ok: bool) -> ImageClass:
    try:
        return ImageClass(name, ok)
    except ValidationError:
        raise DataError(
            f"{root / name}: a folder's name is that of its class, and that is 1 to 64 characters in UTF-8. Rename it."
        ) from None


def _folders(root: Path) -> list[str]:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder. Give a folder that has one folder of images for each class.")
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if masks := [name for name in names if name.lower() in MASKS]:
        raise DataError(
            f"{root / masks[0]} looks like masks, which are no class of images. Move it out of {root}; `inspectd "
            "evaluate --masks DIR` takes it."
        )
    return names


def passed_over(root: Path, classes: Sequence[ImageClass]) -> list[Path]:
    """What lies in the classes' folders and is not taken for an image: other endings, and links to folders."""
    return [path for each in classes for path in _entries(root / each.name) if not _is_image(path)]


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in _entries(folder) if _is_image(path))


def _is_image(path: Path) -> bool:
    """Whether it claims to be one; a link that leads to nothing may well have been."""
    return path.suffix.lower() in SUFFIXES and (path.is_file() or not path.exists())


def _entries(folder: Path) -> list[Path]:
    """Everything below a folder, by path, that is neither hidden nor a folder itself."""
    if not folder.is_dir():
        return []
    found = []
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if name[0] != "."]
        links = [name for name in folders if Path(place, name).is_symlink()]
        found += [Path(place, name) for name in (*names, *links) if name[0] != "."]
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}. Let it be read, or move it away.")
