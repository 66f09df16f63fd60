"""Every class gets its share of every split, and what belongs together stays together."""

from collections import Counter

import numpy as np
import pytest

from inspectd.dataset.division import Wish, divide, quotas

SHARES = Wish().shares


class TestQuotas:
    @pytest.mark.parametrize(
        ("units", "wanted"),
        [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (4, (2, 1, 1)), (10, (6, 2, 2)), (150, (90, 30, 30))],
    )
    def test_are_the_shares_and_none_is_empty_where_there_are_enough(
        self, units: int, wanted: tuple[int, int, int]
    ) -> None:
        assert tuple(quotas(units, SHARES).values()) == wanted

    def test_without_a_test(self) -> None:
        assert tuple(quotas(12, Wish(0.2, 0.0).shares).values()) == (10, 2, 0)
        assert tuple(quotas(2, Wish(0.9, 0.0).shares).values()) == (1, 1, 0)

    @pytest.mark.parametrize(
        ("validation", "test"),
        [(0.9, 0.0), (0.05, 0.0), (0.05, 0.05), (0.05, 0.45), (0.45, 0.45), (0.3, 0.6), (0.0, 0.2)],
    )
    def test_always_add_up_and_leave_no_wanted_split_empty(self, validation: float, test: float) -> None:
        wish = Wish(validation, test)
        for units in range(1, 60):
            found = quotas(units, wish.shares)
            assert sum(found.values()) == units
            assert min(found.values()) >= 0
            assert sum(count > 0 for count in found.values()) == min(units, 1 + (validation > 0) + (test > 0))


class TestDivision:
    def test_of_single_images_is_exact_in_every_class(self) -> None:
        targets = [0] * 100 + [1] * 20 + [2] * 5 + [3] * 3 + [4] * 2
        splits = divide(targets, range(130), SHARES, 111)
        counts = Counter(zip(targets, splits, strict=True))
        assert [[counts[target, split] for split in SHARES] for target in range(5)] == [
            [60, 20, 20],
            [12, 4, 4],
            [3, 1, 1],
            [1, 1, 1],
            [1, 1, 0],
        ]

    def test_repeats_itself_with_its_seed_alone(self) -> None:
        targets = [0] * 50 + [1] * 20
        first, second, other = (divide(targets, range(70), SHARES, seed) for seed in (1, 1, 2))
        assert first == second != other

    def test_keeps_units_whole_and_stays_near_the_shares(self) -> None:
        rng = np.random.default_rng(5)
        units = np.repeat(np.arange(120), rng.integers(1, 9, 120))
        targets = (rng.random(len(units)) < 0.3).astype(int)  # a part has good and bad views
        splits = divide(targets.tolist(), units.tolist(), SHARES, 111)
        of_unit = {(unit, split) for unit, split in zip(units.tolist(), splits, strict=True)}
        assert len(of_unit) == 120
        for target in (0, 1):
            members = [split for each, split in zip(targets, splits, strict=True) if each == target]
            for split, share in SHARES.items():
                assert members.count(split) / len(members) == pytest.approx(share, abs=0.03)

    @pytest.mark.parametrize(("sizes", "filled"), [([5, 5, 2], 3), ([40, 1, 1], 3), ([10, 10], 2), ([9], 1)])
    def test_a_few_large_units_reach_every_split_in_turn(self, sizes: list[int], filled: int) -> None:
        units = np.repeat(np.arange(len(sizes)), sizes).tolist()
        for seed in range(20):
            splits = divide([0] * sum(sizes), units, SHARES, seed)
            assert set(splits) == {"train", "validation", "test"} - set(["test", "validation"][: 3 - filled])
