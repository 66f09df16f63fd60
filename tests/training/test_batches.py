"""Batches to learn from: everything once an epoch, in another order, and pixels that only change places."""

import numpy as np
import pytest

from inspectd.dataset.manifest import Sample
from inspectd.dataset.pixels import Dataset
from inspectd.training.batches import Batches, augment
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


class TestBatches:
    @pytest.fixture
    def dataset(self) -> Dataset:
        pixels = np.repeat(np.arange(10, dtype=np.uint8), 8 * 8 * 3).reshape(10, 8, 8, 3)
        samples = tuple(Sample(f"ok/{index}.png", "", 0, "train") for index in range(10))
        return Dataset(samples, pixels, np.zeros(10, np.int64))

    def test_serve_everything_once_in_a_new_order_each_epoch(self, dataset: Dataset) -> None:
        answers = np.arange(10, dtype=np.float32)[:, None]
        recipe = Recipe(batch=4, preprocess="scale")
        batches = Batches(dataset, np.arange(10), answers, recipe, order=np.random.default_rng(0))
        orders = []
        for _ in range(2):
            parts = [batches[index] for index in range(len(batches))]
            assert [len(answers) for _, answers in parts] == [4, 4, 2]
            for pixels, wanted in parts:
                assert np.allclose(pixels[:, 0, 0, 0] * 255, wanted[:, 0], atol=1e-4)
            orders.append(np.concatenate([wanted[:, 0] for _, wanted in parts]).tolist())
            batches.on_epoch_end()
        assert orders[0] != orders[1]
        assert sorted(orders[0]) == sorted(orders[1]) == list(range(10))

    def test_for_validation_are_as_they_are(self, dataset: Dataset) -> None:
        answers = np.arange(10, dtype=np.float32)[:, None]
        batches = Batches(dataset, np.array([1, 5, 7]), answers, Recipe(batch=8))
        assert batches[0][1][:, 0].tolist() == [1, 5, 7]
