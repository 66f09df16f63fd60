"""Rates as people read them: exact where exact, and never a claim that is too good."""

import pytest

from inspectd.evaluation.rates import Rate, below, percent


def test_a_rate_with_its_two_kinds_of_limits() -> None:
    found = Rate(0, 150).as_numbers()
    assert (found["count"], found["of"], found["rate"]) == (0, 150, 0.0)
    assert found["two_sided_95"] == [0.0, pytest.approx(1 - 0.025 ** (1 / 150), abs=1e-6)]
    assert found["upper_bound_95"] == pytest.approx(1 - 0.05 ** (1 / 150), abs=1e-6)


def test_of_no_images_nothing_is_known() -> None:
    found = Rate(0, 0)
    assert (found.value, found.interval, found.at_most) == (None, (0.0, 1.0), 1.0)
    assert percent(found.value) == "–"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.05, "5.0 %"), (0.00123, "0.12 %"), (0.999999, "99.99 %"), (1e-9, "0.01 %")],
)
def test_only_nothing_and_all_are_0_and_100_percent(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("bound", "text"),
    [(0.01977, "2.0 %"), (0.019, "1.9 %"), (0.00994, "1.0 %"), (0.00941, "0.95 %"), (0.9999, "100 %"), (1.0, "100 %")],
)
def test_a_claim_is_rounded_up(bound: float, text: str) -> None:
    assert below(bound) == text
