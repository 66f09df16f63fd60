"""A model for large images, from its making to the daemon: imported with tiles, measured, proven and at work."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.site import Site
from typer.testing import CliRunner

from inspectd.cli.main import app
from inspectd.dataset.division import Wish
from inspectd.dataset.manifest import Split
from inspectd.dataset.survey import survey
from inspectd.domain import Verdict
from inspectd.errors import DataError
from inspectd.evaluation.cases import read_cases
from inspectd.evaluation.evaluate import evaluate_folder
from inspectd.evaluation.masks import find_masks
from inspectd.model.bundle import Bundle, load_bundle
from inspectd.model.engine.backend import keras
from inspectd.model.golden import read_golden
from inspectd.model.loading import open_inspector
from inspectd.model.mosaic import starts
from inspectd.model.spec import Preparation, Tiles
from inspectd.training.tiles import load_tiles

SIZE = (150, 210)  # height, width


def image(seed: int, bar: tuple[int, int] | None = None) -> np.ndarray:
    """Noise below 140, and a bar of 250 at (row, column) of 4 × 12 pixels: resized to 48 × 48 it would be grey."""
    pixels = np.random.default_rng(seed).integers(60, 140, (*SIZE, 3), np.uint8)
    if bar:
        pixels[bar[0] : bar[0] + 4, bar[1] : bar[1] + 12] = 250
    return pixels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data/ok`, `data/bar` and `masks`."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(2)
    for name in ("data/ok", "data/bar", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(12):
        cv2.imwrite(str(folder / "data" / "ok" / f"{number}.png"), image(number))
    for number in range(8):
        place = int(rng.integers(0, SIZE[0] - 4)), int(rng.integers(0, SIZE[1] - 12))
        cv2.imwrite(str(folder / "data" / "bar" / f"{number}.png"), image(100 + number, place))
        mask = image(0, place)[..., 0] == 250
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), mask.astype(np.uint8) * 255)
    return folder


@pytest.fixture(scope="module")
def bundle(data: Path) -> Bundle:
    """A network of 48 × 48 pixels in which the brightest 3 × 3 decide, as the command imports it."""
    layers = keras.layers
    maps, decision = layers.Conv2D(1, 3, activation="relu", name="mean"), layers.Dense(1, activation="sigmoid")
    network = keras.Sequential([keras.Input((48, 48, 3)), maps, layers.GlobalMaxPooling2D(), decision])
    maps.set_weights([np.full((3, 3, 3, 1), 1 / 27), np.zeros(1)])
    decision.set_weights([np.array([[20.0]]), np.array([-14.0])])
    network.save(data / "bright.keras")
    words = ["model", "import", str(data / "bright.keras"), "--classes", "ok,bar", "--golden", str(data / "data")]
    done = CliRunner().invoke(app, [*words, "--tiles", "16", "--out", str(data / "models" / "bars")])
    assert done.exit_code == 0, done.output
    return load_bundle(data / "models" / "bars")


def test_training_learns_from_tiles_and_is_measured_on_whole_images(data: Path, tmp_path: Path) -> None:
    options = [
        "--recipe",
        "compact",
        "--size",
        "48",
        "--tiles",
        "16",
        "--epochs",
        "4",
        "--batch",
        "8",
        "--rate",
        "5e-3",
    ]
    words = ["train", str(data / "data"), "--out", str(tmp_path / "bars"), "--masks", str(data / "masks"), *options]
    done = CliRunner().invoke(app, [*words, "--set", "class_weights=balanced", "--precision", "float32"])
    assert done.exit_code == 0, done.output
    bundle = load_bundle(tmp_path / "bars")
    assert (bundle.spec.tiles, bundle.spec.training["tiles"]) == (Tiles(16), 16)
    assert (bundle.spec.metrics["auc"], bundle.spec.metrics["good"]) == (1.0, 2)
    cases = read_cases(bundle.path / "findings.csv", bundle.spec)
    assert len({case.path for case in cases}) == len(cases) == 8
    inspector = open_inspector(bundle, "cpu", "float32")
    spoilt, whole = inspector.inspect([inspector.prepare(image(400, (77, 101))), inspector.prepare(image(400))])
    assert (spoilt.verdict, whole.verdict) == (Verdict.DEFECT, Verdict.OK)


class TestTilesToLearnFrom:
    def test_those_of_good_images_and_those_with_the_mask(self, data: Path) -> None:
        manifest = survey(data / "data", ["ok"], Wish(), lambda *_: None)
        masks = find_masks(data / "masks", data, manifest.samples, manifest.classes)
        splits: tuple[Split, ...] = ("train", "validation")
        to = Preparation(48, 48)
        dataset = load_tiles(data / "data", manifest, splits, to, 16, masks, lambda *_: None)
        of_image = len(starts(SIZE[0], 48, 16)) * len(starts(SIZE[1], 48, 16))
        good = sum(sample.target == 0 for sample in manifest.samples if sample.split in splits)
        bad = dataset.pixels[dataset.targets == 1]
        assert (dataset.targets == 0).sum() == good * of_image
        assert (dataset.pixels[dataset.targets == 0].max(), dataset.pixels.shape[1:]) == (139, (48, 48, 3))
        marked = (bad == 250).all(axis=3).sum(axis=(1, 2))
        assert marked.min() >= 4 * 12 / 4
        assert {sample.path for sample in dataset.samples} == {
            sample.path for sample in manifest.samples if sample.split in splits
        }
        assert set(dataset.of("train")) | set(dataset.of("validation")) == set(range(len(dataset.targets)))

    def test_a_large_defect_without_a_mask_is_refused(self, data: Path) -> None:
        manifest = survey(data / "data", ["ok"], Wish(), lambda *_: None)
        with pytest.raises(DataError, match=r"bar/\d\.png has 210×150 pixels and no mask, so inspectd does not know"):
            load_tiles(data / "data", manifest, ("train",), Preparation(48, 48), 16, None, lambda *_: None)


def test_threshold_and_golden_images_are_of_whole_images(bundle: Bundle) -> None:
    assert bundle.spec.tiles == Tiles(16)
    assert (bundle.spec.metrics["auc"], bundle.spec.metrics["good"], bundle.spec.metrics["defects"]) == (1.0, 12, 8)
    assert "cut into tiles of 48×48" in (bundle.path / "card.md").read_text()
    golden = read_golden(bundle)
    assert golden
    assert [cv2.imread(str(bundle.path / each.file)).shape[:2] for each in golden.images] == [SIZE] * 8


def test_an_evaluation_finds_the_heat_on_the_masks(bundle: Bundle, data: Path) -> None:
    found = evaluate_folder(bundle, data / "data", data / "masks", lambda *_: None, "cpu", "float32")
    numbers = json.loads(found.files["metrics.json"])
    assert (numbers["auc"], numbers["escape"]["count"], numbers["overkill"]["count"]) == (1.0, 0, 0)
    placed = found.found.placement
    assert placed is not None
    assert (placed.near.count, placed.touched.count, found.found.lit.count) == (8, 8, 8)


def test_the_daemon_judges_a_large_image(bundle: Bundle, tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.incoming.mkdir()
    site.write({"model": str(bundle.path.parent)}, worker={"precision": "float32"})
    for name, bar in (("good.png", None), ("bad.png", (120, 180))):
        site.drop(name, cv2.imencode(".png", image(300, bar))[1].tobytes())
    assert site.start("--once").ends() == 0
    assert site.rows() == [("bad.png", "defect"), ("good.png", "ok")]
    ((text, overlay, method),) = site.rows("select regions, overlay, method from inspections where verdict = 'defect'")
    (region,) = json.loads(text)
    assert np.abs(np.subtract([region[key] for key in ("x", "y", "width", "height")], (180, 120, 12, 4))).max() <= 3
    assert cv2.imread(str(tmp_path / "output" / overlay)).shape[:2] == SIZE
    assert method == "gradcam"
