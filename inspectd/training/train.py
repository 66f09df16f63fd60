"""From a folder per class to a bundle: learn, keep the best epoch, measure it as it will run, write it whole.

Until the last step everything lives in memory and in a temporary folder: an interruption or a failure at any moment
leaves nothing half-written.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspectd import __version__
from inspectd.clock import utc_now
from inspectd.dataset.manifest import DATA, Manifest, Split
from inspectd.dataset.pixels import Dataset, load_dataset
from inspectd.dataset.survey import survey
from inspectd.errors import DataError
from inspectd.evaluation.cases import FINDINGS, Case, case, cases_text
from inspectd.evaluation.evaluate import evaluate_split
from inspectd.evaluation.masks import Masks, find_masks
from inspectd.evaluation.metrics import answers
from inspectd.evaluation.validation import validate
from inspectd.model.backend import keras, tf
from inspectd.model.bundle import NETWORK, Bundle, write_bundle
from inspectd.model.devices import Device, open_device
from inspectd.model.inspector import Finding, Inspector, open_inspector
from inspectd.model.networks import add_head, open_backbone, target_layer
from inspectd.model.spec import ALL_METHODS, HeatScale, ImageClass, Precision, Spec, Thresholds
from inspectd.model.surgery import examine
from inspectd.model.versions import publish, refuse_unfit
from inspectd.model.weights import is_whole, load_weights_by_name, load_whole
from inspectd.training.batches import Batches
from inspectd.training.learn import Learned, Witness, learn
from inspectd.training.recipe import Recipe
from inspectd.training.report import card, curves

MEASURED_AT_ONCE = 8  # images


def train(data: Path, out: Path, recipe: Recipe, witness: Witness, masks: Path | None = None) -> Bundle:
    """Trains on a folder per class and writes the next version of the model `out`, a folder of versions.

    Args:
        masks: A folder with masks of the defects, against which the heat is measured.

    Raises:
        DataError: the data, the weights or the recipe cannot be used, or learning diverged.
        BundleError: `out` is something else than a folder of versions, or cannot be written.
    """
    started = time.monotonic()
    _refuse_unwritable(out)
    _refuse_missing(recipe.weights)
    device = open_device("auto")
    for remark in device.remarks:
        witness.say(remark)
    precision = _precision(recipe, device)
    keras.utils.set_random_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    manifest = survey(data, recipe.ok, recipe.wish, lambda *done: witness.progress("looking", *done))
    for sentence in (*(f"Skipped {sentence}" for sentence in manifest.skipped), *manifest.remarks):
        witness.say(sentence)
    classes = manifest.classes
    marked = find_masks(masks, manifest.samples, classes) if masks else None
    network, origin = _build(recipe, len(classes))
    witness.say(f"{recipe.backbone} with {network.count_params():,} parameters, {origin}")
    watched: Split = "validation" if recipe.validation else "test"
    dataset = load_dataset(
        data, manifest, ("train", watched), recipe.preparation, lambda *done: witness.progress("reading", *done)
    )
    training, validation = dataset.of("train"), dataset.of(watched)
    anatomy = examine(network, (recipe.height, recipe.width, 3))
    wanted = answers(dataset.targets, classes, anatomy.units)
    batches = Batches(dataset, training, wanted, recipe, order=rng)
    learned = learn(network, anatomy, batches, Batches(dataset, validation, wanted, recipe), recipe, precision, witness)
    if not recipe.validation:
        last = learned.epochs[-1]
        witness.say(f"Test loss {last.val_loss:.4g}, accuracy {last.val_accuracy:.4f}, of the network's own decision.")
    used = _choices(recipe) | {
        "data": data.name,
        "precision": precision,
        "started_from": origin,
        "parameters": network.count_params(),
        "training_images": manifest.counts("train"),
        "validation_images": manifest.counts("validation"),
        "test_images": manifest.counts("test"),
        "skipped": list(manifest.skipped),
        "best_epoch": learned.best + 1,
        "device": device.text,
        "seconds": round(time.monotonic() - started),
        "finished_at": utc_now(),
        "software": f"inspectd {__version__}, Keras {keras.__version__}, TensorFlow {tf.__version__}",
    }
    draft = _draft(out.name, classes, network, recipe, precision, used)
    return _finish(out, draft, network, data, manifest, dataset, watched, learned, witness, marked)


def _choices(recipe: Recipe) -> dict[str, Any]:
    """The recipe as the bundle keeps it, less what stands in other places of the bundle. A file goes by its name."""
    choices = {name: value for name, value in asdict(recipe).items() if name not in ("name", "ok", "width", "height")}
    return {"recipe": recipe.name} | choices | {"weights": Path(recipe.weights).name}


def _refuse_unwritable(out: Path) -> None:
    """Hours of training must not end in a bundle that cannot be written."""
    refuse_unfit(out)
    folder = next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())
    try:
        tempfile.TemporaryDirectory(dir=folder).cleanup()
    except OSError as error:
        raise DataError(f"{out} cannot be written: {folder}: {error.strerror}. Choose another --out.") from None


def _refuse_missing(weights: str) -> None:
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise DataError(f"--weights {weights}: there is no such file. Give imagenet, none or a Keras `.h5` file.")


def _precision(recipe: Recipe, device: Device) -> Precision:
    if recipe.precision != "auto":
        return recipe.precision
    return "bfloat16" if device.bfloat16 else "float32"


def _build(recipe: Recipe, classes: int) -> tuple[Any, str]:
    """The network, and a text that says what weights it starts from."""
    imagenet = recipe.weights == "imagenet"
    file = None if recipe.weights in ("imagenet", "none") else Path(recipe.weights)
    backbone = open_backbone(recipe.backbone, recipe.preparation, imagenet=imagenet)
    whole = str(load_whole(backbone, file)) if file and is_whole(file) else ""
    network = add_head(backbone, recipe.cut, recipe.head, classes)
    if file:
        return network, whole or str(load_weights_by_name(network, file))
    return network, "weights of ImageNet" if imagenet else "random weights"


def _draft(
    name: str, classes: tuple[ImageClass, ...], network: Any, recipe: Recipe, precision: Precision, used: dict[str, Any]
) -> Spec:
    """The bundle's description before anything is measured."""
    unmeasured = {each.name: HeatScale(0.0, 1.0) for each in classes if not each.ok}
    return Spec(
        name=name,
        classes=classes,
        activation=network.layers[-1].activation.__name__,
        preparation=recipe.preparation,
        thresholds=Thresholds(0.0),
        heat_scale=dict.fromkeys(ALL_METHODS, unmeasured),
        layer=target_layer(network),
        evaluated_in=precision,
        training=used,
    )


def _finish(
    out: Path,
    draft: Spec,
    network: Any,
    data: Path,
    manifest: Manifest,
    dataset: Dataset,
    watched: Split,
    learned: Learned,
    witness: Witness,
    masks: Masks | None,
) -> Bundle:
    """Saves the network, measures the saved one through its own inspector, and writes the bundle."""
    with tempfile.TemporaryDirectory(prefix="inspectd-") as folder:
        saved = Path(folder) / NETWORK
        network.save(saved)
        bundle = write_bundle(Path(folder) / "draft", draft, {NETWORK: saved})
        inspector = open_inspector(bundle, precision=draft.evaluated_in)
        inspector.warm_up(MEASURED_AT_ONCE)
        validation = dataset.of(watched)
        findings = _inspect(inspector, dataset, validation, witness)
        cases = _cases(dataset, validation, findings, draft)
        found = validate(findings, dataset.targets[validation], draft.classes, draft.activation)
        spec = replace(
            draft,
            thresholds=found.thresholds,
            calibration=found.calibration,
            heat_scale=found.heat_scale,
            metrics=found.metrics.as_numbers(),
        )
        measured = write_bundle(Path(folder) / "measured", spec, {}, bundle)
        judged = evaluate_split(
            measured, data, manifest, watched, masks, lambda *done: witness.progress("evaluating", *done)
        )
        listed = {each.path for each in cases}
        cases += [each for each in judged.cases if each.path not in listed]
        remarks = (*found.remarks, *judged.answer, *judged.doubts)
        for remark in remarks:
            witness.say(remark)
        pictures = {"curves.png": curves(learned.epochs, learned.best), "card.md": card(spec, remarks)}
        lists = {DATA: manifest.as_csv(), FINDINGS: cases_text(cases, spec.classes)}
        return publish(out, spec, {NETWORK: saved, **lists, **pictures, **judged.files})


def _inspect(inspector: Inspector, dataset: Dataset, chosen: NDArray[np.int64], witness: Witness) -> list[Finding]:
    """What the inspector finds in the images `chosen` (indices).

    Raises:
        DataError: it finds no numbers.
    """
    findings: list[Finding] = []
    for start in range(0, len(chosen), MEASURED_AT_ONCE):
        findings += inspector.inspect(list(dataset.pixels[chosen[start : start + MEASURED_AT_ONCE]]), ALL_METHODS)
        witness.progress("measuring", len(findings), len(chosen))
    if not all(np.isfinite(finding.logits).all() for finding in findings):
        raise DataError("Learning diverged: the network's logits are no numbers any more. Lower --rate.")
    return findings


def _cases(dataset: Dataset, chosen: NDArray[np.int64], findings: Sequence[Finding], spec: Spec) -> list[Case]:
    samples = [dataset.samples[index] for index in chosen]
    return [
        case(sample.path, sample.sha256, sample.target, sample.split, finding, spec)
        for sample, finding in zip(samples, findings, strict=True)
    ]
