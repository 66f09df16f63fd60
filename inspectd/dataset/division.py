"""Divides images into train, validation and test. Pure: the same images, shares and seed give the same split.

Images that belong together form a *unit*, which stays in one split: copies of one content, and images of one part. The
splits are stratified: each gets about its share of each class. Units of several images or classes are placed greedily,
the largest unit first, each into the split that lacks most of its classes (as Sechidis, Tsoumakas & Vlahavas
2011 do for images of several labels, "On the stratification of multi-label data").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspectd.dataset.manifest import SPLITS, Split


@dataclass(frozen=True)
class Wish:
    """The wish for a division of images.

    Attributes:
        validation, test: Shares of each class, 0 for none; the rest is for training, so both must leave something.
        seed: The seed of the random choice.
        group: A regular expression with at least one group, searched in each image's path below the data's folder;
            images for which its groups are equal show one part.
    """

    validation: float = 0.2
    test: float = 0.2
    seed: int = 111
    group: str | None = None

    @property
    def shares(self) -> dict[Split, float]:
        """The share of each split; they add up to 1."""
        return {"train": 1 - self.validation - self.test, "validation": self.validation, "test": self.test}


def quotas(units: int, shares: Mapping[Split, float]) -> dict[Split, int]:
    """The number of units for each split, as near to `shares` as whole numbers allow.

    A split with a share above 0 gets at least one unit if there are enough: `train` first, `test` last.
    """
    wanted = [split for split in SPLITS if shares[split] > 0]
    found: dict[Split, int] = dict.fromkeys(SPLITS, 0)
    if units <= len(wanted):
        return found | dict.fromkeys(wanted[:units], 1)
    for split in wanted:
        found[split] = max(1, round(shares[split] * units))
    largest = max(wanted, key=lambda split: shares[split])
    found[largest] += units - sum(found.values())
    return found


def divide(targets: Sequence[int], units: Sequence[int], shares: Mapping[Split, float], seed: int) -> list[Split]:
    """The split of each image.

    Args:
        targets: The class of each image.
        units: The unit of each image, any numbers.
        shares: The share of each split, adding up to 1; 0 for an unwanted split.

    Returns:
        A split for each image. Every class is in `train` if it has one unit, in `validation` too if it has two, and in
        every wanted split if it has as many, unless its units hold other classes too.
    """
    classes = max(targets) + 1
    names, of_image = np.unique(np.array(units), return_inverse=True)
    contents = np.zeros((len(names), classes), int)
    np.add.at(contents, (of_image, np.array(targets)), 1)
    wanted = [split for split in SPLITS if shares[split] > 0]
    lacking = np.array([[quotas(int(total), shares)[split] for total in contents.sum(axis=0)] for split in wanted])
    holders = (contents > 0).sum(axis=0)  # units not yet placed, by class
    placed = np.zeros((len(wanted), classes), bool)
    chosen = np.zeros(len(names), int)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    for unit in shuffled[np.argsort(-contents[shuffled].sum(axis=1), kind="stable")]:
        content = contents[unit]
        allowed = _in_need(placed, holders, content)
        gains = lacking[allowed] @ content
        best = allowed[int(np.argmax(gains))]
        chosen[unit] = best
        lacking[best] -= content
        placed[best] |= content > 0
        holders -= content > 0
    return [wanted[chosen[unit]] for unit in of_image]


def _in_need(placed: NDArray[np.bool_], holders: NDArray[np.int64], content: NDArray[np.int64]) -> list[int]:
    """The splits that may take a unit: all, or only those that lack a class of which few units are left."""
    for target in sorted(np.flatnonzero(content), key=lambda target: holders[target]):
        without = [int(split) for split in np.flatnonzero(~placed[:, target])]
        if without and holders[target] <= len(without):
            return without[: holders[target]]
    return list(range(len(placed)))
