"""What images support: counts against the rule that decides, and sentences that promise no more than was shown."""

import math

import numpy as np
import pytest
from support.findings import outcome_of

from inspectd.domain import Verdict
from inspectd.evaluation.claims import asked, claims, counted, outcome
from inspectd.evaluation.thresholds import Costs, ErrorLimits
from inspectd.model.spec import Thresholds
from inspectd.model.verdict import decide


@pytest.mark.parametrize("thresholds", [Thresholds(1.0), Thresholds(1.0, -1.0), Thresholds(-9.0), Thresholds(9.0, 8.0)])
def test_counts_what_the_verdicts_would_be(thresholds: Thresholds) -> None:
    good, bad = np.array([-3.0, -1.0, 0.5, 1.0, math.nan]), np.array([-2.0, 0.0, 4.0, math.nan])
    verdicts = [[decide(margin, thresholds) for margin in side] for side in (good, bad)]
    reviews = sum(side.count(Verdict.REVIEW) for side in verdicts)
    wanted = outcome_of(4, verdicts[1].count(Verdict.OK), 5, verdicts[0].count(Verdict.DEFECT), reviews)
    assert outcome(good, bad, thresholds) == wanted


def test_a_claim_says_how_many_images_it_takes() -> None:
    escape, overkill, review = claims(outcome_of(150, 0, 300, 2, 7), ErrorLimits(0.005, 0.03))
    assert escape == (
        "0 of 150 defects missed: the escape rate is below 2.0 % with 95 % confidence (one-sided); to claim 0.5 % you "
        "need 598 defect images without a miss."
    )
    assert overkill == (
        "2 of 300 good images rejected: the overkill rate is below 2.1 % with 95 % confidence (one-sided)."
    )
    assert review == "7 of 450 for review."


def test_no_number_of_images_shows_that_a_rate_is_nothing() -> None:
    assert claims(outcome_of(150, 0, 1, 0, 0), ErrorLimits(0.0))[0].endswith(
        "; no number of images shows that it is 0."
    )


def test_for_people() -> None:
    assert counted(outcome_of(15, 1, 30, 2, 0)) == "1 of 15 defects missed, 2 of 30 good images rejected"
    assert counted(outcome_of(15, 1, 30, 2, 9)).endswith(", 9 of 45 for review")
    assert (
        asked(ErrorLimits(0.005, 0.02))
        == "at most 0.5 % of the defects missed, at most 2 % of the good images rejected"
    )
    assert asked(Costs(200, 1)) == "least cost; an escape costs 200, an overkill 1"
    assert asked(Costs(200, 1, 0.5, 0.01)).endswith("an overkill 1, a look 0.5, where 1 % are defects")
