"""The words that every room shares: verdict, precision, method of heat, region, and what tells one file from another.

They import nothing of inspectd, so that no room needs another one for a word. The configuration, the command line, the
bundles and the ledger all take their allowed values from here.
"""

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self, get_args


class Verdict(StrEnum):
    """What was decided about one image: the part is good, has a defect, or is for a person to look at."""

    OK = "ok"
    DEFECT = "defect"
    REVIEW = "review"


# The arithmetic that a network runs in, and what a user may ask for: `auto` takes the fastest that passes the proof.
Precision = Literal["float32", "bfloat16", "int8"]
PrecisionChoice = Literal["auto", Precision]

# How the heat of an image is computed. `model/heat/methods.py` holds the formula of each.
Method = Literal["gradcam", "layercam", "hirescam"]
METHOD_NAMES: tuple[Method, ...] = get_args(Method)
DEFAULT_METHOD: Method = "gradcam"

PAGE = "page"  # a reason that begins so only names the page, of several, that decided
MOST_PIXELS = 100_000_000  # of an image, unless `limits.pixels` says otherwise
# Regions that carry a smaller share of the margin are not the reason of a rejection.
LOCATED = 0.2


@dataclass(frozen=True)
class Region:
    """A box in the original image's pixels around one hot part; `peak` is its hottest point, 0.5..1 of the scale."""

    x: int
    y: int
    width: int
    height: int
    peak: float


GRAINS = (1, 100, 1000, 10**6, 10**7, 10**9, 2 * 10**9)  # nanoseconds in which file systems keep times: ext4 … FAT


@dataclass(frozen=True)
class Stat:
    """What answers "have I looked at this file?". It never answers "is this the same content?": sha256 does."""

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, result: os.stat_result) -> Self:
        return cls(result.st_size, result.st_mtime_ns, result.st_ctime_ns)

    def is_of_moved(self, result: os.stat_result) -> bool:
        """Whether a file that was moved is still the same file.

        A move changes ctime, and may cut mtime to the grain of another file system.
        """
        times = [self.mtime_ns // grain * grain for grain in GRAINS]
        return result.st_size == self.size and result.st_mtime_ns in times


def is_located(share: float) -> bool:
    """Whether regions with this support can be shown as the reason."""
    return share >= LOCATED


def support_text(share: float) -> str:
    """For people: ``support 91 %``, 100 % at most; or that the reason is not located."""
    return f"support {100 * min(share, 1.0):.0f} %" if is_located(share) else "reason not located"
