"""`inspectd model quantize`: the next version of a trained model, or nothing and a sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.bars import write_images
from support.witness import Witness
from typer.testing import CliRunner

from inspectd.cli.main import app
from inspectd.errors import BundleError, DataError
from inspectd.evaluation.cases import read_cases
from inspectd.evaluation.quantised import compared_again
from inspectd.evaluation.thresholds import ErrorLimits
from inspectd.evaluation.tune import tune
from inspectd.model.bundle import INT8, Bundle, load_bundle
from inspectd.model.golden import INDEX
from inspectd.model.spec import Thresholds, Tiles
from inspectd.model.versions import publish, versions
from inspectd.training.quantize import quantize
from inspectd.training.recipe import Recipe
from inspectd.training.train import train

RECIPE = Recipe(
    backbone="compact", cut=None, width=48, height=48, weights="none", epochs=5, batch=4, rate=5e-3, precision="float32"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("quantize") / "data"
    write_images(data / "ok", 20, 0, seed=1)
    write_images(data / "bar", 12, 1, seed=2)
    return data


@pytest.fixture(scope="module")
def trained(data: Path) -> Bundle:
    return train(data, data.parent / "bars", RECIPE, Witness())


@pytest.fixture(scope="module")
def quantised(trained: Bundle, data: Path) -> Bundle:
    done = CliRunner().invoke(app, ["model", "quantize", str(trained.path.parent), "--images", str(data)])
    assert done.exit_code == 0, done.output
    assert "verdicts differ" in done.stdout
    assert f"inspectd model activate {trained.path.parent} 2" in done.stdout
    return load_bundle(trained.path.parent / "2")


@pytest.fixture
def model(trained: Bundle, tmp_path: Path) -> Bundle:
    """A model of its own for a test that may add versions to it."""
    shutil.copytree(trained.path, tmp_path / "bars" / "1")
    return load_bundle(tmp_path / "bars" / "1")


def test_the_next_version_has_an_int8_part_and_what_it_was_measured_to_do(trained: Bundle, quantised: Bundle) -> None:
    assert quantised.files - trained.files == {INT8, "findings.int8.csv"}
    assert replace(quantised.spec, version=1, int8=None) == trained.spec
    found = quantised.spec.int8
    assert found is not None
    assert (found.calibrated_with, found.images, found.verdicts_changed) == (20, 6, 0)
    assert (found.auc_float32, found.auc, found.ranks_as_well) == (1.0, 1.0, True)
    assert 0 < found.farthest < quantised.spec.metrics["defect_min"] - quantised.spec.metrics["good_max"]
    coarse = read_cases(quantised.path / "findings.int8.csv", quantised.spec)
    assert {each.split for each in coarse} == {"validation"}
    card = (quantised.path / "card.md").read_text()
    assert card.startswith("# bars, with an int8 part")
    assert "calibrated with 20 of its training images" in card
    assert "| used in training | |" in card
    shown = CliRunner().invoke(app, ["model", "show", str(quantised.path)]).stdout
    assert "int8         verdicts_changed 0" in shown


def test_an_evaluation_in_int8_shows_it_beside_float32(quantised: Bundle, data: Path, tmp_path: Path) -> None:
    arguments = ["--precision", "int8", "--device", "cpu", "--out", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, ["evaluate", str(quantised.path), str(data), *arguments])
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    assert numbers["precision"] == "int8"
    assert numbers["int8"]["images"] == 12, "those whose float32 logits the bundle has: validation and test"
    assert (numbers["int8"]["verdicts_changed"], numbers["int8"]["of"]) == (0, "of these images")
    assert "<h2>int8 beside float32</h2>" in (tmp_path / "report.html").read_text()


def test_an_evaluation_of_other_images_shows_what_was_found_at_first(quantised: Bundle, tmp_path: Path) -> None:
    write_images(tmp_path / "data" / "ok", 2, 0, seed=5)
    write_images(tmp_path / "data" / "bar", 2, 1, seed=6)
    for precision, found in (("int8", quantised.spec.int8), ("float32", None)):
        arguments = ["--precision", precision, "--device", "cpu", "--out", str(tmp_path / precision), "--json"]
        done = CliRunner().invoke(app, ["evaluate", str(quantised.path), str(tmp_path / "data"), *arguments])
        numbers = json.loads(done.stdout)
        assert ("int8" in numbers) == (found is not None)
        assert found is None or numbers["int8"]["images"] == found.images


def test_other_thresholds_are_compared_by(quantised: Bundle, tmp_path: Path) -> None:
    tuned = tune(quantised, ErrorLimits(escape=0.01), out=tmp_path / "tuned").bundle
    assert INT8 in tuned.files
    assert tuned.spec.int8 == compared_again(quantised, tuned.spec.thresholds)
    coarse = read_cases(quantised.path / "findings.int8.csv", quantised.spec)[0].margin
    exact = read_cases(quantised.path / "findings.csv", quantised.spec)[0].margin
    between = compared_again(quantised, Thresholds((coarse + exact) / 2))
    assert between
    assert between.verdicts_changed >= 1


def test_images_that_come_in_tiles(model: Bundle, data: Path) -> None:
    tiled = publish(model.path.parent, replace(model.spec, tiles=Tiles(8)), {}, model)
    bundle = quantize(tiled, data, Witness())
    assert bundle.spec.version == 3
    assert bundle.spec.int8
    assert bundle.spec.int8.verdicts_changed == 0


def test_another_folder_is_refused(model: Bundle, data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(data, other)
    for image in (other / "ok").iterdir():
        image.write_bytes((data / "bar" / "000.png").read_bytes())
    with pytest.raises(DataError, match="is not the image that the model lists: give the folder"):
        quantize(model, other, Witness())
    with pytest.raises(DataError, match="is not the image that the model lists: give the folder"):
        quantize(model, tmp_path / "nowhere", Witness())
    assert versions(model.path.parent) == [1]


def test_a_golden_image_that_changes_its_verdict_refuses_it(model: Bundle, data: Path) -> None:
    index = json.loads((model.path / INDEX).read_bytes())
    for image in index["images"]:
        image["logits"] = [-logit for logit in image["logits"]]
    turned = publish(model.path.parent, model.spec, {INDEX: json.dumps(index).encode()}, model)
    with pytest.raises(BundleError, match=r"in int8: golden/.*Nothing was written"):
        quantize(turned, data, Witness())
    assert versions(model.path.parent) == [1, 2]


def test_a_model_that_does_not_say_what_it_learned_from_is_refused(model: Bundle, data: Path) -> None:
    imported = publish(model.path.parent, model.spec, {}, model, without=("data.csv",))
    with pytest.raises(DataError, match=r"lists neither its training images"):
        quantize(imported, data, Witness())
    golden = [name for name in model.files if name.startswith("golden/")]
    nothing = publish(model.path.parent, model.spec, {}, model, without=golden)
    with pytest.raises(BundleError, match="no golden images, so nothing can prove it in int8"):
        quantize(nothing, data, Witness())
