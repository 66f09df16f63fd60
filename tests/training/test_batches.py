"""Batches to learn from: everything once an epoch, in another order, and pixels that only change places."""

import numpy as np
import pytest

from inspectd.training.batches import Batches, as_they_are, augment, class_weights, images
from inspectd.training.recipe import Recipe


class TestAugment:
    @pytest.mark.parametrize(
        ("flips", "rotations", "shape", "ways"),
        [
            (False, False, (5, 5), 1),
            (True, False, (5, 5), 4),
            (False, True, (5, 5), 4),
            (True, True, (5, 5), 8),
            (True, True, (4, 5), 4),
        ],
    )
    def test_only_moves_pixels_in_every_way_asked_for(
        self, flips: bool, rotations: bool, shape: tuple[int, int], ways: int
    ) -> None:
        image = np.arange(np.prod(shape) * 3, dtype=np.uint8).reshape(*shape, 3)
        found = augment(np.stack([image] * 200), np.random.default_rng(0), flips=flips, rotations=rotations)
        assert len({each.tobytes() for each in found}) == ways
        assert all(np.array_equal(np.sort(each.ravel()), np.sort(image.ravel())) for each in found)


def served(batches: Batches) -> list[float]:
    """The answers of an epoch in their order; they are ten times the input, and the weights a tenth."""
    parts = [batches[index] for index in range(len(batches))]
    for inputs, answers, weights in parts:
        assert np.allclose(inputs * 10, answers)
        assert np.allclose(weights, answers[:, 0] / 10)
    return [float(answer) for _, answers, _ in parts for answer in answers[:, 0]]


class TestBatches:
    @pytest.fixture
    def rows(self) -> np.ndarray:
        return np.arange(10, dtype=np.float32)[:, None]

    def test_serve_everything_once_in_an_order_that_follows_from_seed_and_epoch(self, rows: np.ndarray) -> None:
        first, second = (Batches(rows, rows * 10, rows[:, 0], np.arange(10), as_they_are, seed=1) for _ in range(2))
        orders = []
        for epoch in range(2):
            first.begin(epoch, 4)
            assert [len(first[index][1]) for index in range(len(first))] == [4, 4, 2]
            orders.append(served(first))
        second.begin(1, 3)
        assert served(second) == orders[1] != orders[0]
        assert sorted(orders[0]) == sorted(orders[1]) == [10.0 * index for index in range(10)]

    def test_for_validation_are_as_they_are(self, rows: np.ndarray) -> None:
        batches = Batches(rows, rows * 10, rows[:, 0], np.array([1, 5, 7]), as_they_are)
        batches.begin(3, 8)
        assert served(batches) == [10, 50, 70]

    def test_images_come_at_the_networks_scale_and_are_augmented_in_learning_alone(self) -> None:
        pixels = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
        feed = images(Recipe(preprocess="scale"))
        assert np.allclose(feed(pixels, None) * 255, pixels, atol=1e-4)
        turned = feed(pixels, np.random.default_rng(2)) * 255
        assert not np.allclose(turned, pixels)
        assert np.allclose(np.sort(turned.ravel()), np.sort(pixels.ravel()), atol=1e-4)


def test_balanced_classes_count_the_same() -> None:
    targets = np.repeat([0, 1, 2], [60, 30, 10])
    chosen = np.flatnonzero(np.arange(100) % 2)
    weights = class_weights(targets, chosen, balanced=True)
    sums = [float(weights[chosen][targets[chosen] == each].sum()) for each in range(3)]
    assert np.allclose(sums, 50 / 3)
    assert (class_weights(targets, chosen, balanced=False) == 1).all()
