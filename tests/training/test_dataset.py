"""A folder per class becomes arrays, or a sentence that says why not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inspectd.errors import DataError
from inspectd.model.spec import ImageClass, Preparation
from inspectd.training.dataset import Batches, Dataset, augment, find_classes, load_dataset, split
from inspectd.training.recipe import Recipe

SMALL = Preparation(24, 16)


def load(root: Path, ok: tuple[str, ...] = ("ok",)) -> Dataset:
    return load_dataset(root, find_classes(root, ok), SMALL, lambda _done, _total: None)


class TestLoading:
    def test_reads_prepares_and_labels(self, data: Path) -> None:
        told: list[tuple[int, int]] = []
        found = load_dataset(data, find_classes(data, ["ok"]), SMALL, lambda *done: told.append(done))
        assert found.classes == (ImageClass("ok", True), ImageClass("bar", False))
        assert (found.pixels.shape, found.pixels.dtype) == ((32, 16, 24, 3), np.uint8)
        assert found.targets.tolist() == [0] * 20 + [1] * 12
        assert found.counts(np.arange(32)) == {"ok": 20, "bar": 12}
        assert found.pixels[20:].max() > 200 > found.pixels[:20].max()
        assert told[-1] == (32, 32)

    def test_lists_what_it_cannot_read_and_goes_on(self, data: Path) -> None:
        whole = (data / "bar" / "000.png").read_bytes()
        (data / "bar" / "cut.png").write_bytes(whole[: len(whole) // 2])
        (data / "ok" / "text.jpg").write_text("no image")
        (data / "ok" / "notes.txt").write_text("no image is meant")
        found = load(data)
        assert len(found.targets) == 32
        assert [sentence.partition(":")[0] for sentence in found.skipped] == ["ok/text.jpg", "bar/cut.png"]
        assert all(len(sentence) > len("bar/cut.png: ") for sentence in found.skipped)

    def test_takes_files_at_any_depth_but_none_that_are_hidden(self, data: Path) -> None:
        (data / "ok" / "monday").mkdir()
        (data / "ok" / "000.png").rename(data / "ok" / "monday" / "A.PNG")
        shutil.copy(data / "ok" / "001.png", data / "ok" / ".001.png")
        (data / ".cache").mkdir()
        assert load(data).counts(np.arange(32)) == {"ok": 20, "bar": 12}

    def test_several_classes_may_pass(self, data: Path) -> None:
        shutil.copytree(data / "ok", data / "also fine")
        classes = find_classes(data, ["ok", "also fine"])
        assert [(each.name, each.ok) for each in classes] == [("also fine", True), ("ok", True), ("bar", False)]


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("harm", "ok", "sentence"),
    [
        (lambda data: shutil.rmtree(data), ["ok"], "is not a folder"),
        (_empty, ["ok"], "has no folders"),
        (lambda data: shutil.rmtree(data / "bar"), ["ok"], r"has only OK classes \(ok\)"),
        (lambda _: None, ["good"], "--ok good: .* has no such class. It has bar, ok"),
        (lambda _: None, [], "No class of .* is named as good"),
        (lambda data: _empty(data / "bar"), ["ok"], "bar has no readable images"),
        (
            lambda data: [path.unlink() for path in sorted((data / "ok").iterdir())[1:]],
            ["ok"],
            "ok has 1 readable image.*at least two",
        ),
    ],
)
def test_data_that_cannot_be_used_is_said(
    harm: Callable[[Path], object], ok: list[str], sentence: str, data: Path
) -> None:
    harm(data)
    with pytest.raises(DataError, match=sentence):
        load(data, tuple(ok))


class TestSplit:
    def test_takes_its_share_of_every_class_and_nothing_twice(self) -> None:
        targets = np.repeat([0, 1, 2], [50, 20, 2])
        train, validation = split(targets, 0.2, np.random.default_rng(111))
        assert np.bincount(targets[validation]).tolist() == [10, 4, 1]
        assert sorted([*train, *validation]) == list(range(72))

    def test_repeats_itself_with_its_seed(self) -> None:
        targets = np.repeat([0, 1], [50, 20])
        first, second, other = (split(targets, 0.2, np.random.default_rng(seed))[1] for seed in (1, 1, 2))
        assert np.array_equal(first, second)
        assert not np.array_equal(first, other)


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
        return Dataset((ImageClass("ok", True), ImageClass("bar", False)), pixels, np.zeros(10, np.int64), ())

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
