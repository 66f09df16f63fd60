"""What the test of the explanations says in assessment, sentences and doubts."""

from dataclasses import replace

import numpy as np

from inspectd.domain import Verdict
from inspectd.evaluation import summary
from inspectd.evaluation.assessment import as_numbers, assess
from inspectd.evaluation.cases import Case
from inspectd.evaluation.contact import least_explained
from inspectd.evaluation.judging import Judged
from inspectd.model.spec import ImageClass
from inspectd.model.support import Support

CLASSES = (ImageClass("ok", True), ImageClass("crack", False))
ELSEWHERE = Support(0.01, falls=False, area=0.02)
GOOD = [
    Judged(Case(f"ok/{n}.png", "0" * 64, 0, "test", (-5.0,), -5.0, 0.1, "crack"), Verdict.OK, "ok", 0.01, 0.1, 0, None)
    for n in range(8)
]


def rejected(share: float, *, falls: bool = False, regions: int = 1, name: str = "a") -> Judged:
    case = Case(f"crack/{name}.png", "1" * 64, 1, "test", (5.0,), 5.0, 2.0, "crack")
    support = Support(share, falls, 0.02 if regions else 0.0)
    return Judged(case, Verdict.DEFECT, "crack", 0.99, 1.0, regions, None, support, ELSEWHERE)


def test_regions_that_carry_the_margin_explain_the_verdicts() -> None:
    found = assess([*GOOD, rejected(0.9, falls=True), rejected(0.7), rejected(0.6)], [], CLASSES)
    assert found.grounds is not None
    assert found.grounds.explain
    assert (found.grounds.share, found.grounds.area, found.grounds.control_share) == (0.7, 0.02, 0.01)
    assert (found.grounds.falls.count, found.grounds.control_falls.count, found.grounds.located.count) == (1, 0, 3)
    assert list(summary.doubts(found, GOOD)) == []
    said = summary.heat(found)
    assert "the median rejected defect loses 70.0 % of its margin and 1 of 3 verdicts change" in said
    numbers = as_numbers(found)["heat"]
    assert isinstance(numbers, dict)
    assert numbers["explanation"]["median_support"] == 0.7


def test_heat_that_does_not_explain_the_verdicts_is_the_first_doubt() -> None:
    images = [*GOOD, rejected(-0.3), rejected(0.1), rejected(0.0, regions=0)]
    learned = [replace(each, case=replace(each.case, split="train")) for each in images]
    first, second = summary.doubts(assess(images, [], CLASSES), learned)
    assert first.startswith("The heat does not explain the verdicts: without the shown regions the median rejected")
    assert "2 of 3 rejected defects show a region" in first
    assert second.startswith("11 of 11 images are training images")


def test_a_bundle_that_does_not_know_good_margins_says_nothing_of_it() -> None:
    found = assess([*GOOD, replace(rejected(0.5), support=None, control=None)], [], CLASSES)
    assert found.grounds is None
    assert "erased" not in summary.heat(found)


def test_the_weakest_explanations_come_first() -> None:
    judged = [rejected(share, name=str(n)) for n, share in enumerate(np.linspace(1, 0, 20))]
    choice = least_explained([*GOOD, *judged], CLASSES)
    assert [each.case.path for each in choice.shown] == [f"crack/{n}.png" for n in range(19, 7, -1)]
