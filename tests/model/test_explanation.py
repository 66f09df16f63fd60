"""What an overlay says of a tested explanation."""

import cv2
import numpy as np
import pytest

from inspectd.domain import Verdict, support_text
from inspectd.model.explanation import explain
from inspectd.model.inspector import Finding
from inspectd.model.spec import HeatScale
from inspectd.vision.overlay import Style

HEAT = np.pad(np.ones((2, 2), np.float32), 7)
FOUND = Finding(Verdict.DEFECT, "crack", (3.0,), 0.95, "crack", "gradcam", HEAT, HeatScale(0.2, 0.6), {"gradcam": 1.0})
NOT_LOCATED = "reason not located"
SURFACE = np.full((320, 320, 3), 120, np.uint8)


def overlay(support: float | None, heat: np.ndarray = HEAT) -> np.ndarray:
    found = Finding(**(vars(FOUND) | {"heat": heat}))
    data = explain(found, (320, 320), None, support=support).picture(SURFACE, Style(format="png"))
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def outlined(picture: np.ndarray) -> int:
    """Black pixels in the middle, which only the border of an outline has."""
    return int((picture[90:230, 90:230] < 30).all(axis=2).sum())


def test_a_region_that_carries_the_verdict_is_outlined() -> None:
    assert outlined(overlay(0.91)) > 50
    assert outlined(overlay(None)) > 50


def test_regions_that_are_not_the_reason_get_no_outline_and_the_caption_says_so() -> None:
    pretended = 0.05
    assert outlined(overlay(pretended)) == 0
    assert (overlay(pretended) != overlay(None)).any()


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.914, "support 91 %"), (1.3, "support 100 %"), (0.2, "support 20 %"), (0.19, NOT_LOCATED), (-0.2, NOT_LOCATED)],
)
def test_support_in_words(share: float, text: str) -> None:
    assert support_text(share) == text
