"""The numbers of an evaluation from findings written by hand, and what is said of them."""

import math
from dataclasses import replace

import pytest

from inspectd.dataset.manifest import Split
from inspectd.domain import Verdict
from inspectd.evaluation import summary
from inspectd.evaluation.assessment import as_numbers, assess
from inspectd.evaluation.cases import Case
from inspectd.evaluation.contact import worst
from inspectd.evaluation.heat import OnMask
from inspectd.evaluation.judging import Judged
from inspectd.evaluation.rates import Rate
from inspectd.model.spec import ImageClass

OK, CRACK, DENT = ImageClass("ok", True), ImageClass("crack", False), ImageClass("dent", False)
CLASSES = (OK, CRACK, DENT)


def judged(
    target: int, label: str, margin: float, *, review: bool = False, warm: float | None = None, split: Split = "test"
) -> Judged:
    """`label` says the verdict as well; heat is as warm as the margin is high."""
    verdict = Verdict.REVIEW if review else Verdict.OK if label == "ok" else Verdict.DEFECT
    case = Case(f"{CLASSES[target].name}/{margin:g}.png", "0" * 64, target, split, (margin,), margin, 1.0, "crack")
    heat = margin if warm is None else warm
    score = 0.5 if math.isnan(margin) else 1 / (1 + math.exp(-margin))
    return Judged(case, verdict, label, score, heat, int(heat > 0.5), None)


MIXED = [
    judged(0, "ok", -5),
    judged(0, "ok", -4),
    judged(0, "dent", 2),
    judged(0, "crack", 0.5, review=True),
    judged(1, "crack", 6),
    judged(1, "dent", 5),
    judged(1, "ok", -3),
    judged(2, "dent", 7),
]


class TestNumbers:
    def test_errors(self) -> None:
        found = assess(MIXED, [1], CLASSES)
        assert (found.escape, found.caught, found.overkill) == (Rate(1, 4), Rate(3, 4), Rate(1, 4))
        assert (found.review, found.failed) == (Rate(1, 8), 1)
        assert found.auc == pytest.approx((3 * 4 + 2) / 16)
        assert (found.dark, found.lit) == (Rate(3, 4), Rate(3, 4))
        assert found.placement is None

    def test_confusion_has_labels_then_review_then_failed(self) -> None:
        found = assess(MIXED, [1, 1], CLASSES).confusion
        assert found.columns == ("ok", "crack", "dent", "review", "failed")
        assert found.counts == ((2, 0, 1, 1, 0), (1, 1, 1, 0, 2), (0, 0, 1, 0, 0))

    def test_class_by_class(self) -> None:
        ok, crack, dent = assess(MIXED, [], CLASSES).classes
        assert (ok.wrong, ok.review, ok.recall, ok.precision) == (Rate(1, 4), Rate(1, 4), Rate(2, 4), Rate(2, 3))
        assert (crack.wrong, crack.recall, crack.precision) == (Rate(1, 3), Rate(1, 3), Rate(1, 1))
        assert (dent.wrong, dent.recall, dent.precision) == (Rate(0, 1), Rate(1, 1), Rate(1, 3))

    def test_a_class_without_images_is_no_obstacle(self) -> None:
        found = assess([judged(0, "ok", -1), judged(1, "crack", 1)], [], CLASSES)
        assert found.classes[2].recall == Rate(0, 0)

    def test_an_answer_that_is_no_number_is_counted_and_not_ranked(self) -> None:
        found = assess([*MIXED, judged(2, "dent", math.nan, review=True)], [], CLASSES)
        assert found.auc == assess(MIXED, [], CLASSES).auc
        assert (found.escape, found.review) == (Rate(1, 5), Rate(2, 9))

    def test_masks(self) -> None:
        places = [
            OnMask(0.0, 0.8, True),
            OnMask(15.0, 0.4, True),
            OnMask(15.1, 0.0, False),
            OnMask(math.inf, 0.0, False),
        ]
        defects = [replace(judged(1, "crack", 5), on_mask=place) for place in places]
        found = assess([judged(0, "ok", -5), judged(1, "crack", 5), *defects], [], CLASSES).placement
        assert found is not None
        assert (found.exact, found.near, found.touched) == (Rate(1, 4), Rate(2, 4), Rate(2, 4))
        assert found.inside == pytest.approx(0.3)

    def test_as_numbers_are_all_there(self) -> None:
        found = as_numbers(assess(MIXED, [], CLASSES))
        assert found["escape"] == Rate(1, 4).as_numbers()
        assert [row["class"] for row in found["classes"]] == ["ok", "crack", "dent"]
        assert "overkill" in found["classes"][0]
        assert "escape" in found["classes"][1]


class TestWords:
    def test_the_verdict_comes_with_its_bounds(self) -> None:
        clean = [judged(0, "ok", -5)] * 300 + [judged(1, "crack", 5)] * 150
        sentence = summary.verdict(assess(clean, [], CLASSES))
        assert "0 of 150 defects missed: the escape rate is below 2.0 % with 95 % confidence" in sentence
        assert "0 of 300 good images rejected: the overkill rate is below 1.0 %" in sentence
        assert not list(summary.doubts(assess(clean, [], CLASSES), clean))

    def test_review_and_failures_are_said(self) -> None:
        sentence = summary.verdict(assess(MIXED, [0], CLASSES))
        assert "1 of 8 for review." in sentence
        assert "1 file could not be read and failed." in sentence

    def test_images_that_made_the_model_are_said(self) -> None:
        known = [judged(0, "ok", -5, split="train"), judged(1, "crack", 5, split="validation"), judged(1, "crack", 6)]
        learned, chose = summary.doubts(assess(known, [], CLASSES), known)
        assert learned.startswith("1 of 3 images are training images")
        assert chose.startswith("1 of 3 images also chose")

    def test_a_perfect_auc_with_heat_beside_the_defect_is_said(self) -> None:
        far = replace(judged(1, "crack", 5), on_mask=OnMask(40.0, 0.0, False))
        near = replace(far, on_mask=OnMask(3.0, 0.5, True))
        good = [judged(0, "ok", -5)] * 9
        (doubt,) = summary.doubts(assess([*good, *[near] * 8, far], [], CLASSES), [])
        assert "AUC is perfect (1.0000), but the heat is misplaced" in doubt
        assert "for only 8 of 9 defects" in doubt
        assert not assess([*good, *[near] * 9, far], [], CLASSES).heat_is_misplaced
        assert not assess([*good, *[near] * 8, far, judged(0, "crack", 9)], [], CLASSES).heat_is_misplaced

    def test_without_masks_it_is_the_heat_that_does_not_tell(self) -> None:
        blind = [judged(0, "ok", -5, warm=0.1)] * 5 + [judged(1, "crack", 5, warm=0.1)] * 5
        (doubt,) = summary.doubts(assess(blind, [], CLASSES), blind)
        assert "its own AUC is 0.500" in doubt


class TestChoice:
    def test_escapes_and_overkill_in_turns_the_furthest_first(self) -> None:
        images = [*MIXED, judged(2, "ok", -9), judged(0, "crack", 8)]
        found = worst(images, CLASSES, 0.0)
        assert found.mistakes
        assert [each.case.margin for each in found.shown] == [-9, 8, -3, 2]

    def test_without_mistakes_the_nearest(self) -> None:
        images = [judged(0, "ok", -margin) for margin in range(1, 20)] + [judged(1, "dent", 3), judged(1, "dent", 2)]
        found = worst(images, CLASSES, 0.0)
        assert not found.mistakes
        assert [each.case.margin for each in found.shown] == [2, -1, 3, *(-margin for margin in range(2, 11))]
