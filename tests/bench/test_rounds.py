"""Variants in turns, by a clock that the test holds."""

from collections.abc import Mapping

from inspectd.bench.rounds import MOST, Budget, Measure, Measurement, by_round, interleave, middle, pace


class Clock:
    """Time goes on only where somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def measure(self, name: str, seconds: float) -> Measure:
        def measure() -> Mapping[Measurement, float]:
            self.now += seconds
            self.order.append(name)
            return {Measurement(name): self.now}

        return measure


def test_variants_take_turns_until_another_round_would_end_too_late() -> None:
    clock = Clock()
    found = interleave([clock.measure("a", 1.0), clock.measure("b", 2.0)], until=10.0, clock=clock)
    assert clock.order == ["a", "b"] * 3
    assert found == {Measurement("a"): (1.0, 4.0, 7.0), Measurement("b"): (3.0, 6.0, 9.0)}


def test_there_is_one_round_whatever_it_takes_and_an_end_whatever_there_is() -> None:
    clock = Clock()
    assert len(interleave([clock.measure("a", 100.0)], until=0.0, clock=clock)[Measurement("a")]) == 1
    assert len(interleave([clock.measure("a", 1e-6)], until=1e6, clock=clock)[Measurement("a")]) == MOST


def test_a_pace_is_of_whole_calls() -> None:
    clock = Clock()
    assert pace(clock.measure("call", 0.5), images=8, seconds=1.25, clock=clock) == 24 / 1.5
    assert len(clock.order) == 3


def test_a_drift_that_both_share_leaves_their_ratio() -> None:
    assert by_round([2.0, 4.0, 60.0], [1.0, 2.0, 30.0]) == (2.0, 2.0, 2.0)
    assert middle([1.0, 9.0, 2.0]) == 2.0


def test_what_a_stage_leaves_over_is_the_next_ones() -> None:
    clock = Clock()
    budget = Budget(100.0, {"first": 0.5, "second": 0.3, "third": 0.2}, clock)
    assert [budget.until(stage) for stage in ("first", "second", "third")] == [50.0, 80.0, 100.0]
    clock.now = 90.0
    assert [budget.has_time(stage) for stage in ("first", "second", "third")] == [False, False, True]
    assert budget.share("second") == 30.0
