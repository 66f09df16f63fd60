"""How many bits the values of a 16-bit file take: cameras of 10, 12 and 14 bits store theirs unshifted in such files.

The file seldom says so, hence a bundle does (`preparation.bits`). Here is what values tell of their depth, and the
sentences where they contradict what is expected. Pure: nothing is read or decoded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FULL = 16  # bits: the values fill the file's range
LEAST = 8
DEPTHS = (8, 10, 12, 14, FULL)  # of cameras
SURE = 4  # bits that are not used: values below 1/16 of the range leave the network 16 levels of brightness
_SHIFTED = 4  # zero bits below every value: a camera of 12 bits or less has moved its values up


def bits_used(values: NDArray[np.uint16]) -> int:
    """How many bits the largest value takes: 0 of a black image, 16 where the values fill the range.

    Values above 1/16 of the range that are all multiples of 16 count as 16 bits, however dark they are: they are those
    of a 12-bit camera, shifted up.
    """
    together = int(np.bitwise_or.reduce(values, axis=None))  # as many bits as the largest value
    used = together.bit_length()
    is_shifted = used > DEPTHS[2] and together % (1 << _SHIFTED) == 0
    return FULL if is_shifted else used


def to_8_bits(values: NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
    """Values of `bits` bits (8 to 16) as 0..255; larger ones become 255."""
    return np.asarray(np.minimum(values >> (bits - LEAST), 255), np.uint8)


def depth_of(used: Iterable[int]) -> int:
    """The bits of a camera that has taken images of so many `bits_used`; 16 where there are none, or all are black."""
    most = max(used, default=0) or FULL
    return next(depth for depth in DEPTHS if depth >= most)


def is_dark(depth: int, bits: int) -> bool:
    """Whether images of a camera of `depth` bits are too dark for a model that reads `bits`.

    Two unused bits count only where nobody has chosen fewer than 16: a scene may well leave a part of the range unused.
    """
    return depth <= bits - (2 if bits == FULL else SURE)


@dataclass(frozen=True)
class Depths:
    """The 16-bit files among some images: by path, the bits that the values of each take."""

    used: Mapping[str, int] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """The bits of the camera that took them, as `depth_of` finds it."""
        return depth_of(self.used.values())

    @property
    def evidence(self) -> str:
        """Why `depth` is what it is, as a clause."""
        if not any(self.used.values()):
            return "no 16-bit file tells otherwise"
        if self.depth == FULL:
            return f"the largest values in {_files(len(self.used))} fill the range"
        return f"no value in {_files(len(self.used))} exceeds {_share(FULL - self.depth)} of the range"

    def remarks(self, bits: int) -> list[str]:
        """Sentences about files that do not have the `bits` with which they are read."""
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
        f"Values in {what} exceed the range of {bits} bits, and what exceeds it is white to the network. If the camera "
        "has more bits, the model needs more `bits`: train it with `bits: auto`, or import it with `--bits N`."
    )


def too_dark(what: str, depth: int, bits: int) -> str:
    """The sentence about images of a camera of `depth` bits that are read as values of more `bits`."""
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
