"""Cuts large images into tiles for training: tiles of good images are good, tiles with a part of a mask are defects.

Other tiles of a defective image are left out: masks seldom mark everything, and good images have enough good tiles.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspectd.dataset.manifest import Manifest, Sample, Split
from inspectd.dataset.pictures import Picture
from inspectd.dataset.pixels import Dataset, read_listed
from inspectd.errors import DataError
from inspectd.evaluation.masks import MaskError, Masks, read_mask
from inspectd.model.mosaic import Mosaic
from inspectd.model.preparation import to_channels
from inspectd.model.spec import Preparation

SLIVER = 0.25  # of the largest part of the mask in a tile: a tile with less shows at most a defect's edge


def load_tiles(
    root: Path,
    manifest: Manifest,
    splits: tuple[Split, ...],
    to: Preparation,
    overlap: int,
    masks: Masks | None,
    progress: Callable[[int, int], None],
) -> Dataset:
    """Reads the images of some splits and cuts them as an inspector would; each tile is a sample of its image.

    They take height × width × channels bytes a tile: as much as the images themselves, and the overlaps twice.

    Args:
        masks: The masks of the defects. An image of the size of a tile needs no mask.
        progress: Called with the number of files read and their total.

    Raises:
        DataError: a file changed since it was listed, or a large image of a defect has no usable mask.
    """
    samples = tuple(sample for sample in manifest.samples if sample.split in splits)
    owners: list[Sample] = []
    tiles: list[NDArray[np.uint8]] = []
    pictures = read_listed(root, samples, lambda image: to_channels(image, to.channels), progress, bits=to.bits)
    for sample, picture in zip(samples, pictures, strict=True):
        found = _tiles(picture, manifest.classes[sample.target].ok, (to.height, to.width), overlap, masks)
        owners += [sample] * len(found)
        tiles += found
    return Dataset(tuple(owners), np.stack(tiles), np.array([sample.target for sample in owners], np.int64))


def _tiles(
    picture: Picture, is_good: bool, size: tuple[int, int], overlap: int, masks: Masks | None
) -> list[NDArray[np.uint8]]:
    """The tiles for training, copied, so that the image's memory is freed."""
    mosaic = Mosaic(picture.pixels, size, overlap)
    if is_good or len(mosaic.places) == 1:
        return [mosaic.tile(place).copy() for place in mosaic.places]
    marks = Mosaic(_mask(picture, masks), size, overlap)
    held = np.array([marks.tile(place).sum() for place in mosaic.places])
    chosen = np.flatnonzero(held >= SLIVER * held.max())
    return [mosaic.tile(mosaic.places[index]).copy() for index in chosen]


def _mask(picture: Picture, masks: Masks | None) -> NDArray[np.uint8]:
    """The mask, uint8 (H, W, 1): 1 on the defect."""
    height, width = picture.pixels.shape[:2]
    try:
        mask = read_mask(masks, picture.path, (width, height)) if masks else None
    except MaskError as error:
        raise DataError(
            f"{error} Without it inspectd does not know which tiles of {picture.path} show the defect."
        ) from None
    if mask is None:
        raise DataError(
            f"{picture.path} has {width}×{height} pixels and no mask, so inspectd does not know which of its tiles "
            "show the defect. Mark it in --masks DIR, or cut out a part of the size of a tile."
        )
    return mask[..., np.newaxis].astype(np.uint8)
