"""Makes a manifest from a folder per class: reads and hashes every file once, and assigns the splits.

Only usable images enter the manifest. It lists the others with the reason: files that cannot be read, files that may be
incomplete, and equal content in two classes, which would contradict itself in training.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from inspectd.config.globs import IMAGE_ENDINGS
from inspectd.dataset.division import Wish, divide
from inspectd.dataset.folder import Folder, find_classes, find_images, open_folder
from inspectd.dataset.manifest import Manifest, Sample
from inspectd.dataset.pictures import Picture, Pixels, Unreadable, read_pictures
from inspectd.errors import DataError
from inspectd.model.spec import ImageClass
from inspectd.vision.depth import FULL, Depths

Progress = Callable[[int, int], None]


def survey(root: Path, ok: Sequence[str], wish: Wish, progress: Progress, system_files: bool = False) -> Manifest:
    """Reads a folder per class once, and splits the usable images.

    Args:
        ok: The names of the OK classes.
        progress: Called with the number of files read and their total.
        system_files: See `open_folder`.

    Raises:
        DataError: these images do not suffice for the classes, or `wish.group` is not a valid expression.
    """
    pattern = None if wish.group is None else _pattern(wish.group)
    folder = open_folder(root, system_files)
    classes = find_classes(folder, ok)
    usable, left_out = _read(folder, classes, progress)
    for index, each in enumerate(classes):
        _refuse_too_few(root / each.name, index, usable, left_out, folder.left_out(each.name))
    parts = [_part(pattern, picture.path) for picture in usable]
    if pattern and not any(parts):
        raise DataError(f"--group {wish.group} matches no image's path, such as {usable[0].path}.")
    units = _units([picture.sha256 for picture in usable], parts)
    splits = divide([picture.target for picture in usable], units, wish.shares, wish.seed)
    samples = [Sample(each.path, each.sha256, each.target, split) for each, split in zip(usable, splits, strict=True)]
    depths = Depths({each.path: each.used for each in usable if each.used is not None})
    manifest = Manifest(classes, tuple(samples), tuple(map(str, left_out)), depths=depths)
    for each in classes:
        _refuse_unsplit(manifest, each.name, wish)
    return replace(
        manifest,
        remarks=(
            *folder.remarks,
            *_of_others(folder),
            *_of_parts(parts),
            *_of_copies(samples),
            *_of_gaps(manifest, wish),
        ),
    )


def _read(folder: Folder, classes: Sequence[ImageClass], progress: Progress) -> tuple[list[Picture], list[Unreadable]]:
    """The usable images (without pixels), and the others with the reason."""
    found = find_images(folder, classes)
    usable: list[Picture] = []
    left_out: list[Unreadable] = []
    for done, each in enumerate(read_pictures(folder.root, found, _forget, bits=FULL), start=1):
        if isinstance(each, Unreadable):
            left_out.append(each)
        elif each.doubt:
            left_out.append(Unreadable(each.path, each.target, f"The file {each.doubt}"))
        else:
            usable.append(each)
        progress(done, len(found))
    contrary = _contradictions(usable)
    return [each for each in usable if each.sha256 not in contrary], [
        *left_out,
        *(Unreadable(each.path, each.target, contrary[each.sha256]) for each in usable if each.sha256 in contrary),
    ]


def _forget(_pixels: Pixels) -> Pixels:
    return np.empty((0, 0, 3), np.uint8)


def _contradictions(pictures: Sequence[Picture]) -> dict[str, str]:
    """By content, the reason to leave it out if two classes hold it."""
    first: dict[str, Picture] = {}
    found: dict[str, str] = {}
    for picture in pictures:
        other = first.setdefault(picture.sha256, picture)
        if other.target != picture.target:
            found[picture.sha256] = f"two classes have the same content: {other.path} and {picture.path}"
    return found


def _refuse_too_few(
    folder: Path, target: int, usable: Sequence[Picture], left_out: Sequence[Unreadable], masks: Sequence[str]
) -> None:
    contents = {picture.sha256 for picture in usable if picture.target == target}
    if len(contents) >= 2:
        return
    files = sum(picture.target == target for picture in usable)
    lost = [each for each in left_out if each.target == target]
    has = f"{files} images, all of one content" if files > 1 else f"{files or 'no'} usable image{'s' * (files != 1)}"
    why = f" Left out: {len(lost)}, the first of them {lost[0]}." if lost else ""
    why += f" Left out as masks: {len(masks)}, the first of them {masks[0]}." if masks else ""
    raise DataError(
        f"{folder} has {has}.{why} A class needs at least two different images: one for training and one for "
        "validation."
    )


def _pattern(group: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise DataError(f"--group {group} is not a regular expression: {error}.") from error
    if not pattern.groups:
        raise DataError(f"--group {group} has no parentheses around the name of the part, as in '(part[0-9]+)_'.")
    return pattern


def _part(pattern: re.Pattern[str] | None, path: str) -> tuple[str | None, ...] | None:
    match = pattern.search(path) if pattern else None
    return match.groups() if match and any(match.groups()) else None


def _units(contents: Sequence[str], parts: Sequence[tuple[str | None, ...] | None]) -> list[int]:
    """A number for each image; images that share content or part, also through other images, have the same number."""
    unit = list(range(len(contents)))

    def root(index: int) -> int:
        while unit[index] != index:
            unit[index] = index = unit[unit[index]]
        return index

    first: dict[object, int] = {}
    for index, (content, part) in enumerate(zip(contents, parts, strict=True)):
        for key in (content, part):
            if key is not None:
                unit[root(index)] = root(first.setdefault(key, index))
    return [root(index) for index in range(len(unit))]


def _refuse_unsplit(manifest: Manifest, name: str, wish: Wish) -> None:
    if not (manifest.counts("train")[name] and manifest.counts("validation" if wish.validation else "test")[name]):
        raise DataError(
            f"{name} cannot be split: too many of its images belong together by --group or by content. A class needs "
            "images of at least two parts: one for training and one for validation."
        )


def _of_others(folder: Folder) -> Iterator[str]:
    if folder.others:
        yield (
            f"Ignored: {len(folder.others)} files and links in the classes' folders, such as {folder.others[0]}. "
            f"Images are files that end in {', '.join(IMAGE_ENDINGS)}; links to folders are not followed."
        )
    if folder.system:
        yield (
            f"Left out, because a NAS or an operating system reserves them: {len(folder.system)}, such as "
            f"{folder.system[0]}. `system_files: true` in the recipe includes them."
        )


def _of_parts(parts: Sequence[tuple[str | None, ...] | None]) -> Iterator[str]:
    named = [part for part in parts if part is not None]
    if not named:
        return
    alone = len(parts) - len(named)
    rest = f" {alone} images do not match; each counts as a part of its own." if alone else ""
    yield f"--group finds {len(set(named))} parts in {len(named)} images; each part stays in one split.{rest}"


def _of_copies(samples: Sequence[Sample]) -> Iterator[str]:
    first: dict[str, Sample] = {}
    copies = [(first[each.sha256], each) for each in samples if first.setdefault(each.sha256, each) is not each]
    if copies:
        original, copy = copies[0]
        yield (
            f"{len(copies)} of {len(samples)} images are copies of others by content, such as {copy.path} of "
            f"{original.path}. Copies stay in one split."
        )


def _of_gaps(manifest: Manifest, wish: Wish) -> Iterator[str]:
    missing = [name for name, count in manifest.counts("test").items() if not count]
    if missing and wish.test:
        yield f"None of {', '.join(missing)} is left for the test: there are too few images."
