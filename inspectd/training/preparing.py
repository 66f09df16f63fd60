"""Finds out how pixels were prepared for the training of an imported network; its file does not tell.

The network's own scaling rules some preparations out (`model.foreign.front`). Golden images, if given, choose among
all: with the right preparation the network separates good images from defects best.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from inspectd.dataset.folder import Folder, FoundFile, find_images, open_folder
from inspectd.dataset.pictures import Unreadable, in_batches, read_pictures
from inspectd.evaluation.judging import warm_up
from inspectd.evaluation.metrics import auc
from inspectd.model.backbones import SCALES
from inspectd.model.engine.backend import keras
from inspectd.model.foreign.front import Front
from inspectd.model.inspector import Inspector
from inspectd.model.spec import Preparation
from inspectd.model.surgery import inner_layers
from inspectd.model.verdict import margin
from inspectd.training.learn import Witness

MOST_IMAGES = 40  # of each class
CLEARLY = 0.05  # of `Separation.merit`: the lead that a preparation needs if the network contradicts it
TAKES = {"scale": "0..1", "none": "0..255", "backbone": "the backbone's scale"}


@dataclass(frozen=True)
class Separation:
    """How well a network separates golden images under one preparation.

    Attributes:
        auc: The AUC of the margins.
        right: The share of right decisions, the mean of good images and defects.
    """

    auc: float
    right: float

    @property
    def merit(self) -> float:
        """The sum of both: with a wrong scale a network may rank images well and still call all of them the same."""
        return (self.auc + self.right) / 2

    def __str__(self) -> str:
        return f"AUC {self.auc:.3f}, {self.right:.0%} right by its own decision"


def alternatives(to: Preparation, network: Any) -> list[Preparation]:
    """The possible preparations for a network, the usual one first.

    Args:
        to: The preparation so far, with the backbone that the user named, if any.
    """
    backbone = to.backbone or _backbone_within(network)
    scale = backbone and SCALES[backbone]
    found = [replace(to, preprocess="none")]
    if to.backbone is None or scale != "own":
        found.insert(0, replace(to, preprocess="scale"))
    if scale == "tf" or (scale in ("caffe", "torch") and to.channels == 3):
        found.append(replace(to, preprocess="backbone", backbone=backbone))
    return found


def as_seen(front: Front, among: Sequence[Preparation]) -> tuple[Preparation, str | None]:
    """The first preparation that the network can have been trained with, and sentences for the user."""
    fitting = next((each for each in among if front.can_be(each)), None)
    if fitting is None:
        return among[0], (
            f"The network scales pixels itself, in a way that fits no preparation: {_reached(front, among)}. Say with "
            "--preprocess how it was trained."
        )
    if fitting == among[0] and not _has_fixed_scale(front, among):
        return fitting, None
    return fitting, (
        f"The network scales pixels itself and takes {TAKES[fitting.preprocess]}, as {option(fitting)} gives them: "
        f"{_reached(front, among)}."
    )


def contradiction(front: Front, said: Preparation, among: Sequence[Preparation]) -> str | None:
    """A sentence if the network cannot have been trained with the user's preparation."""
    if front.can_be(said):
        return None
    fitting = next((each for each in among if front.can_be(each)), None)
    shown = [said, *([fitting] if fitting else [])]
    advice = f"If it was trained so, give {option(fitting)}" if fitting else "No other fits better"
    return (
        f"{option(said)} contradicts the network, which scales pixels itself: {_reached(front, shown)}. {advice}. Your "
        "choice stays."
    )


def as_measured(
    front: Front,
    among: Sequence[Preparation],
    opened: Callable[[Preparation], Inspector],
    root: Path,
    witness: Witness,
) -> Preparation:
    """The preparation with which the network separates golden images best; reports it and the reason.

    A preparation that the network contradicts must be clearly better. Returns the first preparation if there is no
    choice, or if one side has no images.
    """
    if len(among) == 1:
        return among[0]
    folder = open_folder(root)
    measured: dict[Preparation, Separation] = {}
    for each in among:
        if found := _separation(opened(each), folder):
            measured[each] = found
    if not measured:
        return among[0]
    chosen = max(measured, key=lambda each: measured[each].merit - (0 if front.can_be(each) else CLEARLY))
    others = "; ".join(f"{option(each)}: {found}" for each, found in measured.items() if each != chosen)
    witness.say(f"{option(chosen)} was chosen by the golden images: {measured[chosen]} ({others}).")
    return chosen


def option(to: Preparation) -> str:
    """This preparation as options of the command line."""
    backbone = f" --backbone {to.backbone}" if to.preprocess == "backbone" else ""
    return f"--preprocess {to.preprocess}{backbone}"


def _has_fixed_scale(front: Front, among: Sequence[Preparation]) -> bool:
    found = [reached for each in among if (reached := front.under(each))]
    return any(each.has_fixed_scale and not each.is_blank for each in found)


def _reached(front: Front, among: Sequence[Preparation]) -> str:
    found = [(each, reached) for each in among if (reached := front.under(each))]
    where = "; ".join(f"{reached} with {option(each)}" for each, reached in found)
    return f"its first weights ({found[0][1].layer}) get black and white as {where}"


def _separation(inspector: Inspector, folder: Folder) -> Separation | None:
    """None if one side has no usable images."""
    spec = inspector.bundle.spec
    margins: dict[bool, list[float]] = {True: [], False: []}
    files = _some(find_images(folder, spec.classes))
    pictures = read_pictures(folder.root, files, inspector.prepare, bits=spec.preparation.bits)
    usable = (each for each in pictures if not isinstance(each, Unreadable) and not each.doubt)
    for batch in in_batches(usable, warm_up(inspector)):
        for each, finding in zip(batch, inspector.inspect([each.pixels for each in batch]), strict=True):
            margins[spec.classes[each.target].ok].append(margin(finding.logits, spec.classes, spec.activation))
    good, bad = (np.nan_to_num(np.array(margins[side], np.float64)) for side in (True, False))
    if not (len(good) and len(bad)):
        return None
    return Separation(auc(good, bad), float(((good < 0).mean() + (bad >= 0).mean()) / 2))


def _some(files: Sequence[FoundFile]) -> Iterator[FoundFile]:
    """The needed number of images of each class, spread over its list."""
    for target in sorted({each.target for each in files}):
        of_class = [each for each in files if each.target == target]
        count = min(len(of_class), MOST_IMAGES)
        yield from (of_class[index * len(of_class) // count] for index in range(count))


def _backbone_within(network: Any) -> str | None:
    """The backbone that a network is or contains, by its name: Keras calls them `mobilenetv2_1.00_224`."""
    for each in (network, *inner_layers(network)):
        if isinstance(each, keras.Model):
            name = re.sub("[^a-z0-9]", "", each.name.lower())
            if found := max((known for known in SCALES if name.startswith(known)), key=len, default=None):
                return found
    return None
