"""Every network's logits become one margin, one verdict, one label and one score."""

import math

import numpy as np
import pytest

from inspectd.domain import Verdict
from inspectd.model.spec import Calibration, ImageClass, Thresholds
from inspectd.model.verdict import decide, label, margin, score

OK, FINE = ImageClass("ok", True), ImageClass("fine", True)
CRACK, DENT = ImageClass("crack", False), ImageClass("dent", False)


class TestMargin:
    def test_of_one_unit_is_the_unit(self) -> None:
        assert margin([-3.5], [OK, CRACK], "sigmoid") == -3.5

    def test_of_softmax_is_the_logit_of_all_defects_together(self) -> None:
        logits = [2.0, 0.5, 1.0, -1.0]
        probabilities = np.exp(logits) / np.exp(logits).sum()
        defect = probabilities[2:].sum()
        found = margin(logits, [OK, FINE, CRACK, DENT], "softmax")
        assert found == pytest.approx(math.log(defect / (1 - defect)))

    def test_of_softmax_does_not_overflow(self) -> None:
        assert margin([-9000.0, 9000.0], [OK, CRACK], "softmax") == 18000.0

    @pytest.mark.parametrize("classes", [[OK, CRACK], [CRACK, OK]])
    def test_of_the_articles_two_units_changes_sign_where_argmax_does(self, classes: list[ImageClass]) -> None:
        for logits in ([3.0, 2.0], [2.0, 3.0], [-4.0, -5.0], [-5.0, -4.0]):
            rejected = not classes[int(np.argmax(logits))].ok
            assert (margin(logits, classes, "sigmoid") > 0) == rejected

    def test_of_many_units_is_the_strongest_defect(self) -> None:
        assert margin([9.0, -2.0, -1.0], [OK, CRACK, DENT], "sigmoid") == -1.0

    @pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
    def test_of_what_is_no_number_is_none(self, broken: float) -> None:
        assert math.isnan(margin([broken, 1.0], [OK, CRACK], "softmax"))


class TestDecide:
    @pytest.mark.parametrize(
        ("value", "verdict"),
        [(0.9, Verdict.OK), (1.0, Verdict.REVIEW), (1.9, Verdict.REVIEW), (2.0, Verdict.DEFECT), (9.0, Verdict.DEFECT)],
    )
    def test_each_side_of_both_thresholds(self, value: float, verdict: Verdict) -> None:
        assert decide(value, Thresholds(2.0, 1.0)) == verdict

    def test_without_review_there_is_nothing_between(self) -> None:
        assert decide(math.nextafter(2.0, 0.0), Thresholds(2.0)) == Verdict.OK

    def test_no_number_is_never_ok(self) -> None:
        assert decide(math.nan, Thresholds(2.0)) == Verdict.REVIEW


class TestLabel:
    @pytest.mark.parametrize(
        ("verdict", "name"), [(Verdict.OK, "fine"), (Verdict.DEFECT, "dent"), (Verdict.REVIEW, "dent")]
    )
    def test_is_the_strongest_class_on_the_verdicts_side(self, verdict: Verdict, name: str) -> None:
        assert label(verdict, [1.0, 2.0, 3.0, 4.0], [OK, FINE, CRACK, DENT]) == name

    @pytest.mark.parametrize(("verdict", "name"), [(Verdict.OK, "ok"), (Verdict.DEFECT, "crack")])
    def test_of_a_single_unit(self, verdict: Verdict, name: str) -> None:
        assert label(verdict, [-700.0], [OK, CRACK]) == name


class TestScore:
    def test_is_a_half_at_the_offset_and_rises(self) -> None:
        calibration = Calibration(offset=100.0, temperature=10.0)
        assert score(100.0, calibration) == 0.5
        assert score(110.0, calibration) == pytest.approx(1 / (1 + math.exp(-1)))
        assert score(-1e300, calibration) == 0.0
        assert score(1e300, calibration) == 1.0

    def test_of_no_number_is_no_opinion(self) -> None:
        assert score(math.nan, Calibration()) == 0.5
