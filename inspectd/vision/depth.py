"""Finds how many bits the values in 16-bit files use: cameras of 10, 12 and 14 bits store theirs unshifted.

Few files state it, so a bundle does (`preparation.bits`). This module derives the depth from the values, and words the
warnings if they contradict the expected bits. Pure: it reads and decodes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FULL = 16  # bits, if the values fill the file's range
LEAST = 8
DEPTHS = (8, 10, 12, 14, FULL)  # of cameras
SURE = 4  # unused bits: values below 1/16 of the range leave the network 16 levels of brightness
_SHIFTED = 4  # zero bits at the end of every value: a camera of 12 bits or less has shifted its values up


def bits_used(values: NDArray[np.uint16]) -> int:
    """The number of bits of the largest value: 0 for a black image, 16 if the values fill the range.

    Values above 1/16 of the range that are all multiples of 16 count as 16 bits, however dark they are: they come
    from a 12-bit camera that shifts its values up.
    """
    together = int(np.bitwise_or.reduce(values, axis=None))  # has as many bits as the largest value
    used = together.bit_length()
    is_shifted = used > DEPTHS[2] and together % (1 << _SHIFTED) == 0
    return FULL if is_shifted else used


def to_8_bits(values: NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
    """Values of `bits` bits (8 to 16) as 0..255; larger ones become 255."""
    return np.asarray(np.minimum(values >> (bits - LEAST), 255), np.uint8)


def depth_of(used: Iterable[int]) -> int:
    """The bits of the camera that took images with these `bits_used`; 16 if there are none or all are black."""
    most = max(used, default=0) or FULL
    return next(depth for depth in DEPTHS if depth >= most)


def is_dark(depth: int, bits: int) -> bool:
    """Whether images of a camera of `depth` bits are too dark for a model that reads `bits`.

    Two unused bits are suspicious only at 16 `bits`, the default: a scene may leave a part of the range unused.
    """
    return depth <= bits - (2 if bits == FULL else SURE)


@dataclass(frozen=True)
class Depths:
    """The used bits of the 16-bit files among some images, by path."""

    used: Mapping[str, int] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """The bits of their camera, by `depth_of`."""
        return depth_of(self.used.values())

    @property
    def evidence(self) -> str:
        """The reason for `depth`, as a clause."""
        if not any(self.used.values()):
            return "no 16-bit file suggests otherwise"
        if self.depth == FULL:
            return f"the largest values in {_files(len(self.used))} fill the range"
        return f"no value in {_files(len(self.used))} exceeds {_share(FULL - self.depth)} of the range"

    def remarks(self, bits: int) -> list[str]:
        """Sentences about files whose values do not fit the `bits` in use."""
        lit = {path: used for path, used in self.used.items() if used}
        bright = [path for path, used in lit.items() if used > bits]
        dark = [path for path, used in lit.items() if used <= bits - SURE]
        said = []
        if bright:
            said.append(too_bright(f"{len(bright)} of {_files(len(lit))}, such as {bright[0]},", bits))
        if lit and is_dark(self.depth, bits):
            said.append(too_dark(_files(len(lit)), self.depth, bits))
        elif dark:
            said.append(
                f"{len(dark)} of {_files(len(lit))} hold no value above {_share(SURE)} of the range of {bits} bits, "
                f"such as {dark[0]}. If another camera with fewer bits took them, its images are judged too dark."
            )
        return said


def too_bright(what: str, bits: int) -> str:
    """The sentence about images with values above those of `bits` bits."""
    return (
        f"Values in {what} exceed the range of {bits} bits, and the network sees larger values as white. If the camera "
        "has more bits, the model needs more `bits`: train it with `bits: auto`, or import it with `--bits N`."
    )


def too_dark(what: str, depth: int, bits: int) -> str:
    """The sentence about images of a `depth`-bit camera that are read as values of more `bits`."""
    levels = 1 << max(0, depth - bits + 8)
    return (
        f"No value in {what} exceeds {_share(bits - depth)} of the range of {bits} bits, so that the network sees "
        f"{levels} of 256 levels of brightness. If the camera has fewer bits ({depth} would hold these values), the "
        "model needs as many: train it with `bits: auto`, or import it with `--bits N`."
    )


def _share(bits: int) -> str:
    return f"1/{1 << bits}"


def _files(count: int) -> str:
    return f"{count} 16-bit file{'s' * (count != 1)}"
