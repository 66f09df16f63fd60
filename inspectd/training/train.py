"""From a folder per class to a bundle: learn, keep the best epoch, measure it as it will run, write it whole.

Until the last step everything lives in memory and in a hidden folder beside the model: an interruption or a failure at
any moment leaves nothing half-written, and what a resumed training needs.
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
from inspectd.model.golden import Sighting, golden_files
from inspectd.model.inspector import Finding, Inspector, open_inspector
from inspectd.model.networks import target_layer
from inspectd.model.spec import ALL_METHODS, HeatScale, ImageClass, Precision, Spec, Thresholds
from inspectd.model.surgery import examine
from inspectd.model.versions import publish, refuse_unfit
from inspectd.paths import from_text
from inspectd.training.batches import class_weights
from inspectd.training.course import Course, Workplace
from inspectd.training.learn import Witness, learn
from inspectd.training.recipe import Recipe
from inspectd.training.report import card, curves
from inspectd.training.stages import Material, learning, stages
from inspectd.training.start import start

MEASURED_AT_ONCE = 8  # images


def train(
    data: Path, out: Path, recipe: Recipe, witness: Witness, resume: bool = False, masks: Path | None = None
) -> Bundle:
    """Trains on a folder per class and writes the next version of the model `out`, a folder of versions.

    Args:
        resume: Goes on with the training of `out` by the same recipe that was interrupted.
        masks: A folder with masks of the defects, against which the heat is measured.

    Raises:
        DataError: the data, the weights or the recipe cannot be used, learning diverged, or nothing can be resumed.
        BundleError: `out` is something else than a folder of versions, or cannot be written.
    """
    started = time.monotonic()
    refuse_unfit(out)
    with Workplace(out, recipe, resume) as place:
        device = open_device("auto")
        for remark in device.remarks:
            witness.say(remark)
        precision = _precision(recipe, device)
        keras.utils.set_random_seed(recipe.seed)
        manifest = _survey(data, recipe, witness)
        marked = find_masks(masks, manifest.samples, manifest.classes) if masks else None
        beginning = start(recipe, len(manifest.classes))
        network = beginning.network
        witness.say(f"{recipe.backbone} with {network.count_params():,} parameters, {beginning.origin}")
        watched: Split = "validation" if recipe.validation else "test"
        dataset = load_dataset(
            data, manifest, ("train", watched), recipe.preparation, lambda *done: witness.progress("reading", *done)
        )
        course = place.load(manifest.as_csv(), precision) or Course(recipe.batch)
        if resume:
            witness.say(f"Goes on after {len(course.epochs)} epochs.")
        _learn(network, dataset, manifest, watched, recipe, precision, course, place, witness)
        used = _choices(recipe) | {
            "data": data.name,
            "batch": course.batch,
            "precision": precision,
            "started_from": beginning.origin,
            "parameters": network.count_params(),
            "training_images": manifest.counts("train"),
            "validation_images": manifest.counts("validation"),
            "test_images": manifest.counts("test"),
            "skipped": list(manifest.skipped),
            "best_epoch": course.best + 1,
            "device": device.text,
            "seconds": round(time.monotonic() - started),
            "finished_at": utc_now(),
            "software": f"inspectd {__version__}, Keras {keras.__version__}, TensorFlow {tf.__version__}",
        }
        draft = _draft(out.name, manifest.classes, network, recipe, used)
        return _finish(out, draft, network, data, manifest, dataset, watched, course, place, witness, marked)


def _survey(data: Path, recipe: Recipe, witness: Witness) -> Manifest:
    manifest = survey(data, recipe.ok, recipe.wish, lambda *done: witness.progress("looking", *done))
    for sentence in (*(f"Skipped {sentence}" for sentence in manifest.skipped), *manifest.remarks):
        witness.say(sentence)
    return manifest


def _learn(
    network: Any,
    dataset: Dataset,
    manifest: Manifest,
    watched: Split,
    recipe: Recipe,
    precision: Precision,
    course: Course,
    place: Workplace,
    witness: Witness,
) -> None:
    """Takes the network through the recipe's stages; the course goes along."""
    anatomy = examine(network, (recipe.height, recipe.width, 3))
    training = dataset.of("train")
    material = Material(
        pixels=dataset.pixels,
        answers=answers(dataset.targets, manifest.classes, anatomy.units),
        weights=class_weights(dataset.targets, training, recipe.class_weights == "balanced"),
        training=training,
        validation=dataset.of(watched),
    )
    with learning(network, anatomy, precision):
        ahead = stages(network, material, recipe, witness)
        learn(network, ahead, recipe, course, lambda now: place.save(now, manifest.as_csv(), precision), witness)
    if watched == "test":
        last = course.epochs[-1]
        witness.say(f"Test loss {last.val_loss:.4g}, accuracy {last.val_accuracy:.4f}, of the network's own decision.")


def _choices(recipe: Recipe) -> dict[str, Any]:
    """The recipe as the bundle keeps it, less what stands in other places of the bundle. A file goes by its name."""
    choices = {name: value for name, value in asdict(recipe).items() if name not in ("name", "ok", "width", "height")}
    return {"recipe": recipe.name} | choices | {"weights": Path(recipe.weights).name}


def _precision(recipe: Recipe, device: Device) -> Precision:
    if recipe.precision != "auto":
        return recipe.precision
    return "bfloat16" if device.bfloat16 else "float32"


def _draft(name: str, classes: tuple[ImageClass, ...], network: Any, recipe: Recipe, used: dict[str, Any]) -> Spec:
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
    course: Course,
    place: Workplace,
    witness: Witness,
    masks: Masks | None,
) -> Bundle:
    """Saves the network, measures the saved one through its own inspector, and writes the bundle."""
    with tempfile.TemporaryDirectory(dir=place.folder) as folder:
        saved = Path(folder) / NETWORK
        place.write(saved, network.save)
        bundle = write_bundle(Path(folder) / "draft", draft, {NETWORK: saved})
        inspector = open_inspector(bundle, precision=draft.evaluated_in)
        at_once = min(MEASURED_AT_ONCE, course.batch)  # memory sufficed for as many
        inspector.warm_up(at_once)
        validation = dataset.of(watched)
        findings = _inspect(inspector, dataset, validation, at_once, witness)
        cases = _cases(dataset, validation, findings, draft)
        found = validate(findings, dataset.targets[validation], draft.classes, draft.activation)
        sightings = [Sighting(data / from_text(each.path), each.target, each.margin) for each in cases]
        golden = golden_files(inspector, sightings, found.thresholds.defect)
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
        remarks = (*found.remarks, *golden.remarks, *judged.answer, *judged.doubts)
        for remark in remarks:
            witness.say(remark)
        pictures = {"curves.png": curves(course.epochs, course.best), "card.md": card(spec, remarks)}
        lists = {DATA: manifest.as_csv(), FINDINGS: cases_text(cases, spec.classes)}
        return publish(out, spec, {NETWORK: saved, **lists, **pictures, **golden.files, **judged.files})


def _inspect(
    inspector: Inspector, dataset: Dataset, chosen: NDArray[np.int64], at_once: int, witness: Witness
) -> list[Finding]:
    """What the inspector finds in the images `chosen` (indices).

    Raises:
        DataError: it finds no numbers.
    """
    findings: list[Finding] = []
    for first in range(0, len(chosen), at_once):
        findings += inspector.inspect(list(dataset.pixels[chosen[first : first + at_once]]), ALL_METHODS)
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
