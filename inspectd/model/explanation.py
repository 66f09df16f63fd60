"""Turns a network's finding into the final verdict, the hot regions and the overlay.

The daemon and `inspectd inspect` both use this module, so both show the same.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspectd.domain import PAGE, Region, Verdict, is_located, support_text
from inspectd.model.inspector import Finding
from inspectd.vision.overlay import Style, draw, encode
from inspectd.vision.regions import regions


@dataclass(frozen=True)
class Explanation:
    """A finding together with its image.

    Attributes:
        verdict: The recorded verdict; always `review` if the file itself is in doubt.
        reason: Why the image needs review, if the score alone does not say so; and the page, if the file has several.
        page: The page of the finding, as ``page 2 of 3``; None if there is only one.
        regions: The hot parts in the image's pixels, hottest first; may be empty.
        support: The share of a rejection that rests on the regions; None if that was not tested.
    """

    finding: Finding
    verdict: Verdict
    reason: str | None
    page: str | None
    regions: list[Region]
    support: float | None = None

    def picture(self, pixels: NDArray[np.uint8], style: Style) -> bytes:
        """Encodes the overlay of pixels uint8 (H, W, 3) as a file.

        Regions that were tested and are not the reason get no outline.
        """
        finding = self.finding
        named = "" if finding.label.lower() == self.verdict else f" {finding.label}"
        of = f", {self.page}" if self.page else ""
        caption = f"{self.verdict.upper()}{named} {finding.score:.3f}{of}"
        outlined = self.regions
        if self.support is not None:
            outlined = self.regions if is_located(self.support) else []
            count = f"{len(outlined)} region{'s' * (len(outlined) != 1)}, " if outlined else ""
            caption += f": {count}{support_text(self.support)}"
        low, high = finding.scale.low, finding.scale.high
        return encode(draw(pixels, finding.heat, low, high, outlined, caption, style), style.format)


def explain(
    finding: Finding,
    size: tuple[int, int],
    doubt: str | None,
    page: int = 1,
    pages: int = 1,
    support: float | None = None,
) -> Explanation:
    """Combines a finding with its image.

    Args:
        size: Width and height of the image, or of the page that the finding is about.
        doubt: Why the file may not be whole, as the rest of "The file …".
        page: The number of that page, from 1 on, of `pages`.
        support: See `Explanation`.
    """
    verdict = Verdict.REVIEW if doubt else finding.verdict
    reason = f"in doubt: the file {doubt}" if doubt else None
    if not all(map(math.isfinite, finding.logits)):
        reason = "no answer: the network gave no finite number"
    which = f"{PAGE} {page} of {pages}" if pages > 1 else None
    hot = regions(finding.heat, finding.scale.low, finding.scale.high, size)
    return Explanation(finding, verdict, "; ".join(filter(None, (reason, which))) or None, which, hot, support)
