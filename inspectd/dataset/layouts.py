"""Recognises the layouts of public data sets, and advises how to get one folder for each class.

Only names are read. MVTec AD and BTAD divide a product into `train` and `test` with the classes below; VisA keeps
images and masks in a folder each; DAGM and KolektorSDD2 put defects, good images and masks beside one another.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inspectd.dataset.masks import below_masks, is_mask_folder, named_as_masks, twins, unmarked

_PARTS = {"train", "training", "test", "testing", "val", "valid", "validation", "eval", "evaluation"}
_HOLDERS = {"images", "image", "imgs", "img", "pictures", "jpegimages", "data", "dataset"}


@dataclass(frozen=True)
class _Layout:
    """A recognised data set.

    Attributes:
        advice: Its layout and what to do, as the rest of a sentence that begins with the folder.
        certain: Whether the layout is certain, so that a folder of such folders holds data sets and not classes.
        count: The number of such data sets side by side, itself included.
    """

    folder: Path
    advice: str
    certain: bool
    count: int = 1


def layout(root: Path, pictures: Sequence[str]) -> str | None:
    """One sentence: which layout the folder has, and how to get one folder for each class.

    Args:
        pictures: All pictures below it, relative to it.

    Returns:
        None if no layout is recognised, as with one folder for each class.
    """
    found = _recognise(root, [PurePosixPath(path) for path in sorted(pictures)])
    if found is None:
        return None
    many = f"{root} holds {found.count} data sets, one of which, {found.folder}, " if found.count > 1 else None
    return f"{many or f'{found.folder} '}{found.advice}."


def _recognise(folder: Path, paths: Sequence[PurePosixPath]) -> _Layout | None:
    images = [path for path in paths if not below_masks(path)]
    if not images:
        return None
    tops = {path.parts[0] for path in images if len(path.parts) > 1}
    if not all(map(_is_general, tops)):
        return _of_many(folder, paths, sorted(tops)) if all(len(path.parts) > 1 for path in images) else None
    places: dict[str, set[PurePosixPath]] = {}  # for each class, the folders of its images
    for path in images:
        if place := _class_folder(path):
            places.setdefault(place.name, set()).add(place)
    parted = any(_is_part(top) for top in tops)
    if places:
        return _Layout(folder, _with_classes(folder, places, paths), len(places) > 1)
    mask = _mask(paths)
    return _Layout(folder, _unsorted(images, paths, mask), parted and mask is not None)


def _of_many(folder: Path, paths: Sequence[PurePosixPath], names: Sequence[str]) -> _Layout | None:
    """Several products, a data set each; or folders around one, as zip files have them."""
    found = []
    for name in names:
        below = [path.relative_to(name) for path in paths if path.parts[0] == name]
        inner = _recognise(folder / name, below)
        if inner is None or not inner.certain:
            return None
        found.append(inner)
    return _Layout(found[0].folder, found[0].advice, True, sum(each.count for each in found))


def _with_classes(folder: Path, places: dict[str, set[PurePosixPath]], paths: Sequence[PurePosixPath]) -> str:
    holders = sorted({place.parent for of_class in places.values() for place in of_class})
    masks = _mask_folders(paths)
    option = f" with --masks {folder / masks[0]}" if len(masks) == 1 else ""
    if len(holders) == 1:
        return f"has its classes ({', '.join(sorted(places))}) below {holders[0]}: give {folder / holders[0]}{option}"
    name = max(sorted(places), key=lambda each: len(places[each]))
    sources = sorted(places[name], reverse=True)
    targets = [f"DATA/{name}" + (f"/{place.parent}" if len(sources) > 1 else "") for place in sources]
    return (
        f"has its classes ({', '.join(sorted(places))}) below {_and(holders)}: copy the images of each class "
        f"into one folder, such as {_and(sources)} to {_and(targets)}, and give DATA{option}"
    )


def _unsorted(images: Sequence[PurePosixPath], paths: Sequence[PurePosixPath], mask: PurePosixPath | None) -> str:
    if mask is None:
        return (
            f"holds images, such as {images[0]}, and no folder for each class: copy the images of each class into a "
            "folder of its own, such as DATA/ok and DATA/defect, and give DATA"
        )
    stem = unmarked(mask.stem) or mask.stem
    image = next((path for path in paths if path != mask and path.stem == stem), images[0])
    return (
        f"holds images and their masks, such as {image} and {mask}, and no folder for each class: copy the images "
        "whose mask marks something to DATA/defect, all other images to DATA/ok and the masks to MASKS, and give DATA "
        "with --masks MASKS"
    )


def _mask(paths: Sequence[PurePosixPath]) -> PurePosixPath | None:
    """One picture that is a mask by its name, as an example; None where there is none."""
    texts = [str(path) for path in paths]
    if named := sorted(named_as_masks(texts)):
        return PurePosixPath(named[0])
    groups = twins(texts)
    return PurePosixPath(groups[0][-1]) if groups else None


def _mask_folders(paths: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """The outermost folders of masks."""
    found = set()
    for path in paths:
        depth = next((index for index, name in enumerate(path.parts[:-1]) if is_mask_folder(name)), None)
        if depth is not None:
            found.add(PurePosixPath(*path.parts[: depth + 1]))
    return sorted(found)


def _class_folder(path: PurePosixPath) -> PurePosixPath | None:
    depth = next((index for index, name in enumerate(path.parts[:-1]) if not _is_general(name)), None)
    return None if depth is None else PurePosixPath(*path.parts[: depth + 1])


def _is_part(name: str) -> bool:
    """Whether a folder is a part of a data set, such as `train`, `test_images` or `val2017`."""
    return re.split(r"[ ._\d-]", name.lower())[0] in _PARTS


def _is_general(name: str) -> bool:
    return _is_part(name) or name.lower() in _HOLDERS


def _and(names: Iterable[object]) -> str:
    *first, last = map(str, names)
    return f"{', '.join(first)} and {last}" if first else last
