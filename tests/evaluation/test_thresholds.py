"""Thresholds and calibration from margins, against counting by hand."""

import itertools

import numpy as np
import pytest

from inspectd.domain import Verdict
from inspectd.errors import DataError
from inspectd.evaluation.thresholds import Costs, ErrorLimits, Margins, calibrate, choose, choose_threshold
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


def overlapping(seed: int = 0, good: int = 60, bad: int = 25) -> tuple[Margins, Margins]:
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(0, 1, good), 2), np.round(rng.normal(2, 1, bad), 2)


def every_place(good: Margins, bad: Margins) -> Margins:
    """Thresholds at, and on both sides of, every margin."""
    values = np.concatenate([good, bad])
    return np.unique(np.concatenate([values, values - 1e-4, values + 1e-4]))


@pytest.mark.parametrize("costs", [Costs(0, 0), Costs(0, 0, review=1), Costs(5, 0, defect_share=0)])
def test_costs_by_which_every_threshold_is_the_same_are_refused(costs: Costs) -> None:
    with pytest.raises(DataError, match="Without costs every threshold is equal: give"):
        choose(*overlapping(), costs)


class TestLimits:
    @pytest.mark.parametrize("limit", [0.0, 0.04, 0.3])
    def test_on_escapes_is_kept_with_the_fewest_overkills(self, limit: float) -> None:
        good, bad = overlapping()
        found = choose(good, bad, ErrorLimits(escape=limit))
        places = [t for t in every_place(good, bad) if (bad < t).mean() <= limit]
        assert (bad < found.defect).mean() <= limit
        assert (good >= found.defect).sum() == min((good >= t).sum() for t in places)
        assert found.review is None

    @pytest.mark.parametrize("limit", [0.0, 0.02, 0.3])
    def test_on_overkills_is_kept_with_the_fewest_escapes(self, limit: float) -> None:
        good, bad = overlapping()
        found = choose(good, bad, ErrorLimits(overkill=limit))
        places = [t for t in every_place(good, bad) if (good >= t).mean() <= limit]
        assert (good >= found.defect).mean() <= limit
        assert (bad < found.defect).sum() == min((bad < t).sum() for t in places)

    def test_on_both_take_one_threshold_where_one_will_do(self) -> None:
        good, bad = overlapping()
        best = choose_threshold(good, bad)
        found = choose(good, bad, ErrorLimits((bad < best).mean(), (good >= best).mean()))
        assert found == Thresholds(best)

    def test_on_both_take_two_where_one_cannot_keep_them(self) -> None:
        good, bad = overlapping()
        found = choose(good, bad, ErrorLimits(0.0, 0.0))
        assert found.review is not None
        assert (bad < found.review).sum() == 0
        assert (good >= found.defect).sum() == 0
        narrower = [t for t in every_place(good, bad) if (bad < t).sum() == 0 and (good >= t).sum() == 0]
        assert narrower == []
        assert (good >= found.review).sum() == (good >= bad.min()).sum()
        assert (bad < found.defect).sum() == (bad <= good.max()).sum()

    def test_separated_sides_leave_the_middle_of_the_gap(self) -> None:
        good, bad = np.array([-9.0, -4.0]), np.array([6.0, 8.0])
        for limits in (ErrorLimits(0.0), ErrorLimits(None, 0.0), ErrorLimits(0.0, 0.0), ErrorLimits(0.005, 0.02)):
            assert choose(good, bad, limits) == Thresholds(1.0)

    def test_a_share_that_is_a_whole_number_of_images_is_allowed(self) -> None:
        good, bad = np.full(10, 2.25), np.arange(150.0)
        assert choose(good, bad, ErrorLimits(escape=0.02)) == Thresholds((2.25 + 3) / 2)
        assert choose(good, bad, ErrorLimits(escape=0.0199)).defect < 2.0

    def test_a_margin_that_is_no_number_counts_as_no_error(self) -> None:
        good, bad = np.array([-1.0, np.nan]), np.array([1.0, np.nan])
        assert choose(good, bad, ErrorLimits(0.0, 0.0)) == Thresholds(0.0)

    @pytest.mark.parametrize("empty", [np.array([]), np.array([np.nan])])
    def test_need_images_of_both_sides(self, empty: Margins) -> None:
        with pytest.raises(DataError, match="both are needed"):
            choose(np.array([1.0]), empty, ErrorLimits(0.0))
        with pytest.raises(DataError, match="both are needed"):
            choose(empty, np.array([1.0]), ErrorLimits(0.0))


class TestCosts:
    @staticmethod
    def cost(good: Margins, bad: Margins, costs: Costs, review: float, defect: float) -> float:
        """The expected cost of an image, counted as it is defined."""
        share = len(bad) / (len(good) + len(bad)) if costs.defect_share is None else costs.defect_share
        looked = [((side >= review) & (side < defect)).mean() * (costs.review or 0.0) for side in (good, bad)]
        of_good = costs.overkill * (good >= defect).mean() + looked[0]
        of_bad = costs.escape * (bad < review).mean() + looked[1]
        return (1 - share) * of_good + share * of_bad

    @pytest.mark.parametrize("share", [None, 0.01])
    def test_are_at_their_least(self, share: float | None) -> None:
        good, bad = overlapping()
        costs = Costs(20.0, 1.0, None, share)
        found = choose(good, bad, costs).defect
        least = min(self.cost(good, bad, costs, t, t) for t in every_place(good, bad))
        assert self.cost(good, bad, costs, found, found) == pytest.approx(least)

    def test_a_dear_escape_lowers_the_threshold(self) -> None:
        good, bad = overlapping()
        assert choose(good, bad, Costs(200.0, 1.0)).defect < choose(good, bad, Costs(1.0, 1.0)).defect
        assert choose(good, bad, Costs(200.0, 1.0, None, 0.001)).defect > choose(good, bad, Costs(200.0, 1.0)).defect

    @pytest.mark.parametrize("seed", [0, 1])
    @pytest.mark.parametrize("look", [0.05, 0.4])
    def test_two_thresholds_are_at_the_least_of_all_pairs(self, seed: int, look: float) -> None:
        good, bad = overlapping(seed, 20, 10)
        costs = Costs(20.0, 2.0, look)
        found = choose(good, bad, costs)
        pairs = itertools.combinations_with_replacement(every_place(good, bad), 2)
        least = min(self.cost(good, bad, costs, *pair) for pair in pairs)
        assert found.review is not None
        assert self.cost(good, bad, costs, found.review, found.defect) == pytest.approx(least)

    def test_a_look_that_costs_too_much_is_not_taken(self) -> None:
        good, bad = overlapping()
        assert choose(good, bad, Costs(20.0, 1.0, 1e6)) == choose(good, bad, Costs(20.0, 1.0))

    def test_nothing_to_look_at_takes_one_threshold(self) -> None:
        assert choose(np.array([-4.0]), np.array([6.0]), Costs(200.0, 1.0, 0.1)) == Thresholds(1.0)


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
