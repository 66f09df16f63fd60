"""From a folder per class to a bundle that inspects, or to nothing at all."""

import io
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from support.witness import Witness
from typer.testing import CliRunner

from inspectd.cli.main import app
from inspectd.dataset.manifest import read_manifest
from inspectd.domain import Verdict
from inspectd.errors import DataError, InspectdError
from inspectd.evaluation.cases import read_cases
from inspectd.model.bundle import load_bundle
from inspectd.model.engine.backend import keras
from inspectd.model.golden import golden_bits, read_golden
from inspectd.model.loading import open_inspector
from inspectd.training.recipe import Recipe
from inspectd.training.train import train
from inspectd.vision.decode import decode

RECIPE = Recipe(
    backbone="compact",
    cut=None,
    width=48,
    height=48,
    weights="none",
    epochs=5,
    batch=4,
    rate=5e-3,
    precision="float32",
)


def test_a_folder_becomes_a_bundle_that_inspects(data: Path, tmp_path: Path) -> None:
    (data / "bar" / "broken.png").write_text("nothing")
    witness = Witness()
    trained = train(data, tmp_path / "models" / "bars", RECIPE, witness)

    bundle = load_bundle(tmp_path / "models" / "bars")
    assert bundle == trained
    spec = bundle.spec
    assert (spec.name, spec.activation, spec.layer) == ("bars", "sigmoid", "stage4_relu")
    assert [each.name for each in spec.classes] == ["ok", "bar"]
    assert (spec.metrics["accuracy"], spec.metrics["auc"]) == (1.0, 1.0)
    assert spec.metrics["good_max"] < spec.thresholds.defect < spec.metrics["defect_min"]
    manifest = read_manifest((bundle.path / "data.csv").read_bytes(), spec.classes)
    for split, counts in (("train", (12, 8)), ("validation", (4, 2)), ("test", (4, 2))):
        assert tuple(manifest.counts(split).values()) == counts  # type: ignore[arg-type]
        assert tuple(spec.training[f"{'training' if split == 'train' else split}_images"].values()) == counts
    cases = read_cases(bundle.path / "findings.csv", spec)
    known = {(sample.path, sample.sha256, sample.target, sample.split) for sample in manifest.samples}
    assert {(each.path, each.sha256, each.target, each.split) for each in cases} == {
        each for each in known if each[3] != "train"
    }
    assert spec.training["skipped"] == [line.removeprefix("Skipped ") for line in witness.said if "Skipped" in line]
    assert spec.training["skipped"][0].startswith("bar/broken.png: ")
    epochs = [f"epoch {number} of 5" for number in range(1, 6)]
    assert witness.stages == ["looking", "reading", *epochs, "measuring", "evaluating"]
    assert {"report.html", "metrics.json", "roc.png", "confusion.png", "mistakes.png"} < bundle.files
    numbers = json.loads((bundle.path / "metrics.json").read_text())
    assert numbers["data"]["part"] == "test images"
    assert (numbers["escape"]["of"], numbers["overkill"]["of"], numbers["doubts"]) == (2, 4, [])
    assert Image.open(io.BytesIO((bundle.path / "curves.png").read_bytes())).size == (1200, 480)
    assert "| escapes | 0 |" in (bundle.path / "card.md").read_text()
    assert str(tmp_path) not in (bundle.path / "bundle.yaml").read_text()

    golden = read_golden(bundle)
    assert golden is not None
    assert [image.target for image in golden.images] == ["ok"] * 4 + ["bar"] * 2
    kept = {(bundle.path / image.file).read_bytes() for image in golden.images}
    assert kept == {(data / each.path).read_bytes() for each in cases if each.split == "validation"}
    inspector = open_inspector(bundle, "cpu", "float32")
    for each in cases:
        image = inspector.prepare(decode((data / each.path).read_bytes(), 10**6).pixels)
        assert inspector.inspect([image])[0].logits == pytest.approx(each.logits, rel=1e-4)
    for name, verdict in (("ok", Verdict.OK), ("bar", Verdict.DEFECT)):
        files = sorted((data / name).glob("0*.png"))
        images = [inspector.prepare(decode(file.read_bytes(), 10**6).pixels) for file in files]
        assert {finding.verdict for finding in inspector.inspect(images)} == {verdict}


def test_without_test_images_the_report_says_what_it_rests_on(data: Path, tmp_path: Path) -> None:
    """And with masks it tells that a bar is not where the mask says it is."""
    masks = tmp_path / "masks"
    masks.mkdir()
    corner = np.zeros((48, 48), np.uint8)
    corner[:3, :3] = 1
    for image in (data / "bar").iterdir():
        cv2.imwrite(str(masks / image.name), corner)
    witness = Witness()
    bundle = train(data, tmp_path / "bars", replace(RECIPE, test=0.0), witness, masks=masks)
    numbers = json.loads((bundle.path / "metrics.json").read_text())
    assert numbers["data"] == {"folder": "data", "part": "validation images", "masks": "masks"}
    assert numbers["heat"]["misplaced"]
    assert numbers["heat"]["masks"]["pointing_game_exact"]["count"] == 0
    chose, misplaced = numbers["doubts"]
    assert "images also chose the epoch and the threshold" in chose
    assert "the heat is misplaced" in misplaced
    assert misplaced in witness.said
    assert f"- {misplaced}" in (bundle.path / "card.md").read_text()


def test_without_validation_images_nothing_is_chosen(data: Path, tmp_path: Path) -> None:
    """As the article does it: the test images are watched, the last epoch is kept, and the network itself decides."""
    witness = Witness()
    recipe = replace(RECIPE, validation=0.0, rate=0.5, epochs=3)
    bundle = train(data, tmp_path / "bars", recipe, witness)
    assert (bundle.spec.training["best_epoch"], bundle.spec.thresholds.defect) == (3, 0.0)
    last = next(line for line in witness.said if line.startswith("Epoch 3:"))
    loss, accuracy = last.split("validation loss ")[1].split(", accuracy ")
    assert f"Test loss {loss}, accuracy {accuracy}, by the network's own decision." in witness.said
    assert bundle.spec.metrics["loss"] == pytest.approx(float(loss), rel=1e-2)
    numbers = json.loads((bundle.path / "metrics.json").read_text())
    assert numbers["data"]["part"] == "test images"
    assert not any("also chose" in doubt for doubt in numbers["doubts"])


@pytest.mark.parametrize("classes", [2, 3])
def test_every_kind_of_answer_is_trained_in_bfloat16_and_saved_in_float32(
    classes: int, data: Path, tmp_path: Path
) -> None:
    if classes == 3:
        (data / "bar").rename(data / "bars")
        (data / "dots").mkdir()
        for file in sorted((data / "bars").iterdir())[:5]:
            file.rename(data / "dots" / file.name)
    recipe = replace(RECIPE, head="flatten", cut="stage2_relu", epochs=1, precision="bfloat16", width=32, height=32)
    bundle = train(data, tmp_path / "bundle", recipe, Witness())
    network = keras.saving.load_model(bundle.path / "model.keras")
    assert (bundle.spec.training["precision"], bundle.spec.evaluated_in) == ("bfloat16", "float32")
    assert bundle.spec.activation == network.layers[-1].activation.__name__ == ("sigmoid", "softmax")[classes - 2]
    assert network.output_shape == (None, classes)
    assert {layer.dtype_policy.name for layer in network.layers} == {"float32"}
    assert getattr(network, "optimizer", None) is None, "its state was saved too"


def test_the_best_epoch_is_kept(data: Path, tmp_path: Path) -> None:
    """With a rate that ruins the network, the first epochs stay the best ones, and theirs is the network saved."""
    witness = Witness()
    bundle = train(data, tmp_path / "bundle", replace(RECIPE, rate=0.5, epochs=4), witness)
    losses = [
        float(line.split("validation loss ")[1].split(",")[0]) for line in witness.said if "validation loss" in line
    ]
    best = bundle.spec.training["best_epoch"]
    assert losses[best - 1] == min(losses)
    assert bundle.spec.metrics["loss"] == pytest.approx(min(losses), rel=1e-3)


@pytest.mark.parametrize("stage", ["looking", "reading", "epoch 2", "measuring", "evaluating"])
def test_an_interruption_leaves_nothing_but_what_a_resumed_training_needs(
    stage: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "models" / "bars", replace(RECIPE, epochs=2), Witness(at=stage))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if "data" not in path.parts}
    kept = {"models", "models/.bars.training", "models/.bars.training/course.npz"}
    assert left == (set() if stage in ("looking", "reading") else kept)


def test_a_class_with_two_images_is_learned_and_validated_but_not_tested_and_said(data: Path, tmp_path: Path) -> None:
    for path in sorted((data / "bar").iterdir())[2:]:
        path.unlink()
    witness = Witness()
    bundle = train(data, tmp_path / "bars", replace(RECIPE, epochs=1), witness)
    assert bundle.spec.training["test_images"] == {"ok": 4, "bar": 0}
    assert bundle.spec.metrics["defects"] == 1
    assert "None of bar is left for the test: there are too few images." in witness.said
    numbers = json.loads((bundle.path / "metrics.json").read_text())
    assert numbers["data"]["part"] == "validation and test images"
    assert numbers["doubts"][0].startswith("5 of 9 images also chose")


def test_learning_that_diverges_is_said_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"diverged.*Lower --rate"):
        train(data, tmp_path / "bundle", replace(RECIPE, rate=1e30, epochs=3), Witness())
    assert not (tmp_path / "bundle").exists()


def test_a_place_that_is_something_else_is_refused_before_anything_is_trained(data: Path) -> None:
    witness = Witness()
    with pytest.raises(InspectdError, match="not a version of a model"):
        train(data, data, RECIPE, witness)
    assert not witness.stages


def test_what_cannot_be_written_is_not_even_trained(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    witness = Witness()
    with pytest.raises(DataError, match=r"bars cannot be written: .*Not a directory"):
        train(data, tmp_path / "file" / "bars", RECIPE, witness)
    assert not witness.said


def test_weights_that_are_not_there_are_a_sentence(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--weights nosuch\.h5: this file does not exist\."):
        train(data, tmp_path / "bars", replace(RECIPE, weights="nosuch.h5"), Witness())


def test_the_same_seed_splits_and_learns_the_same(data: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=1)
    first, second = (train(data, tmp_path / name, recipe, Witness()).spec for name in ("one", "two"))
    assert first.metrics["loss"] == pytest.approx(second.metrics["loss"], rel=1e-3)
    assert np.isclose(first.thresholds.defect, second.thresholds.defect, rtol=1e-2, atol=1e-3)


class TestCommand:
    def test_trains(self, data: Path, tmp_path: Path) -> None:
        choices = ["--recipe", "compact", "--size", "48x32", "--epochs", "1", "--batch", "8", "--ok", "ok"]
        result = CliRunner().invoke(
            app, ["train", str(data), "--out", str(tmp_path / "bars"), "--no-rotations", *choices]
        )
        assert result.exit_code == 0, result.output
        spec = load_bundle(tmp_path / "bars").spec
        assert (spec.preparation.width, spec.preparation.height) == (48, 32)
        assert spec.training["recipe"] == "compact"
        assert (spec.training["rate"], spec.training["flips"], spec.training["rotations"]) == (2e-3, True, False)
        assert f"Wrote {tmp_path / 'bars'}" in result.output

    @pytest.mark.parametrize("size", ["", "9", "64x", "64x64x64", "9000", "-64", "x"])
    def test_refuses_a_size_that_is_none(self, size: str, data: Path, tmp_path: Path) -> None:
        result = CliRunner().invoke(app, ["train", str(data), "--out", str(tmp_path / "bars"), "--size", size])
        assert result.exit_code == 1
        assert "give N or WxH" in result.output


def test_12_bit_values_in_16_bit_files_are_learned_and_judged_as_8_bit_ones(data: Path, tmp_path: Path) -> None:
    for file in data.rglob("*.png"):
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(file), image.astype(np.uint16) << 4)
    witness = Witness()
    bundle = train(data, tmp_path / "bars", RECIPE, witness)
    why = "12 bits, because no value in 32 16-bit files exceeds 1/16 of the range"
    assert f"Values in 16-bit files are read as {why}." in witness.said
    assert (bundle.spec.preparation.bits, bundle.spec.training["bits"]) == (12, 12)
    assert f"| depth | {why} |" in (bundle.path / "card.md").read_text()
    assert why in (bundle.path / "report.html").read_text().replace("\u00a0", " ")
    assert json.loads((bundle.path / "metrics.json").read_text())["doubts"] == []
    assert bundle.spec.metrics["auc"] == 1.0
    assert golden_bits(bundle) == 12
    inspector = open_inspector(bundle, "cpu", "float32")  # it reproduces the golden images
    for each in read_cases(bundle.path / "findings.csv", bundle.spec):
        image = decode((data / each.path).read_bytes(), 10**6, 12).pixels
        assert inspector.inspect([inspector.prepare(image)])[0].logits == pytest.approx(each.logits, rel=1e-4)

    forced = Witness()
    course = replace(RECIPE, bits=16, epochs=1)
    dark = train(data, tmp_path / "dark", course, forced)
    [said] = forced.figures("No value in 32 16-bit files exceeds 1/16")
    assert "train it with `bits: auto`" in said
    doubt = json.loads((dark.path / "metrics.json").read_text())["doubts"][-1]
    assert doubt.startswith("No value in 6 16-bit files exceeds 1/16 of the range of 16 bits")
