"""Thresholds and calibration from margins, against counting by hand."""

import numpy as np
import pytest

from inspectd.evaluation.thresholds import calibrate, choose_threshold
from inspectd.ledger.schema import Verdict
from inspectd.model.spec import Thresholds
from inspectd.model.verdict import decide, score


class TestThreshold:
    def test_is_the_middle_of_the_gap_when_separated(self) -> None:
        assert choose_threshold(np.array([-1291.0, -160.0]), np.array([788.0, 2754.0])) == (788.0 - 160.0) / 2

    def test_has_the_fewest_errors_when_not(self) -> None:
        rng = np.random.default_rng(0)
        good, bad = rng.normal(0, 1, 200), rng.normal(2, 1, 60)
        found = choose_threshold(good, bad)
        errors = (bad < found).sum() + (good >= found).sum()
        every = [(bad < t).sum() + (good >= t).sum() for t in np.linspace(-4, 6, 5000)]
        assert errors == min(every)

    def test_takes_the_widest_of_equally_good_gaps(self) -> None:
        assert choose_threshold(np.array([0.0, 3.0]), np.array([2.0, 9.0])) == 6.0

    def test_rejects_everything_when_nothing_is_known(self) -> None:
        assert decide(7.0, Thresholds(choose_threshold(np.array([7.0, 7.0]), np.array([7.0])))) == Verdict.DEFECT
        assert choose_threshold(np.array([5.0]), np.array([1.0])) == 1.0


class TestCalibration:
    def test_is_no_surer_than_the_number_of_images_allows(self) -> None:
        found = calibrate(np.array([-30.0, -10.0, -10.0]), np.array([10.0, 50.0]), 0.0)
        assert score(10.0, found) == pytest.approx(3 / 4)
        assert score(-10.0, found) == pytest.approx(1 / 4)
        assert score(0.0, found) == 0.5

    def test_has_the_greatest_likelihood_when_sides_overlap(self) -> None:
        rng = np.random.default_rng(0)
        good, bad = rng.normal(-40, 40, 500), rng.normal(40, 40, 500)
        found = calibrate(good, bad, 0.0)
        assert found.temperature == pytest.approx(20.0, rel=0.15)  # two normals: σ² over their distance

    def test_of_a_network_that_is_always_wrong(self) -> None:
        assert calibrate(np.array([9.0]), np.array([1.0]), 5.0).temperature == 1.0
