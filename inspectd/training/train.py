"""Trains a model from a folder per class: trains, keeps the best epoch, measures the saved network, writes the bundle.

Until the last step all state is in memory and in a hidden folder beside the model, so an interruption at any moment
leaves nothing half-written, and enough to resume the training.
"""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspectd.clock import utc_now
from inspectd.dataset.manifest import Manifest, Split
from inspectd.dataset.pixels import Dataset, load_dataset
from inspectd.dataset.survey import survey
from inspectd.domain import Precision
from inspectd.evaluation.masks import Masks, find_masks
from inspectd.evaluation.metrics import answers
from inspectd.model.bundle import Bundle
from inspectd.model.devices import Device, open_device
from inspectd.model.engine.backend import SOFTWARE, keras
from inspectd.model.surgery import examine
from inspectd.model.versions import refuse_unfit
from inspectd.training.batches import class_weights
from inspectd.training.course import Course, Workplace
from inspectd.training.finish import Trained, finish
from inspectd.training.learn import Witness, learn
from inspectd.training.recipe import Recipe
from inspectd.training.stages import Material, learning, stages
from inspectd.training.start import start
from inspectd.training.tiles import load_tiles


def train(
    data: Path, out: Path, recipe: Recipe, witness: Witness, resume: bool = False, masks: Path | None = None
) -> Bundle:
    """Trains on a folder per class and writes the next version of the model `out`, a folder of versions.

    Args:
        resume: Continue the interrupted training of `out` by the same recipe.
        masks: A folder with masks of the defects, with which the heat is compared; with `tiles` they tell which tiles
            show a defect.

    Raises:
        DataError: the data, the weights or the recipe cannot be used, training diverged, or there is nothing to resume.
        BundleError: `out` is something else than a folder of versions, or cannot be written.
    """
    started = time.monotonic()
    refuse_unfit(out)
    with Workplace(out, recipe, resume) as place:
        device, precision = _device(recipe, witness)
        keras.utils.set_random_seed(recipe.seed)
        manifest = _survey(data, recipe, witness)
        recipe, depth = _decided(recipe, manifest, witness)
        marked = find_masks(masks, data, manifest.samples, manifest.classes) if masks else None
        beginning = start(recipe, len(manifest.classes))
        network = beginning.network
        witness.say(f"{recipe.backbone} with {network.count_params():,} parameters, {beginning.origin}")
        watched: Split = "validation" if recipe.validation else "test"
        dataset = _load(data, manifest, ("train", watched), recipe, marked, witness)
        course = _course(place, recipe, manifest, precision, witness)
        anatomy = examine(network, (recipe.height, recipe.width, 3))
        material = _material(dataset, watched, recipe, answers(dataset.targets, manifest.classes, anatomy.units))
        with learning(network, anatomy, precision):
            ahead = stages(network, material, recipe, witness)
            learn(network, ahead, recipe, course, lambda now: place.save(now, manifest.as_csv(), precision), witness)
        if watched == "test":
            witness.say(f"Test {course.epochs[-1].watched}, by the network's own decision.")
        used = _choices(recipe) | {
            "depth": depth,
            "data": data.name,
            "batch": course.batch,
            "precision": precision,
            "started_from": beginning.origin,
            "parameters": network.count_params(),
            "best_epoch": course.best + 1,
            "device": device.text,
            "seconds": round(time.monotonic() - started),
        }
        trained = Trained(network, course, used | _facts(manifest), data, manifest, watched, marked)
        return finish(trained, out, recipe, place, witness)


def _device(recipe: Recipe, witness: Witness) -> tuple[Device, Precision]:
    """The device and precision of the training."""
    device = open_device("auto")
    for remark in device.remarks:
        witness.say(remark)
    if recipe.precision != "auto":
        return device, recipe.precision
    return device, "bfloat16" if device.bfloat16 else "float32"


def _survey(data: Path, recipe: Recipe, witness: Witness) -> Manifest:

    def progress(done: int, total: int) -> None:
        witness.progress("looking", done, total)

    manifest = survey(data, recipe.ok, recipe.wish, progress, recipe.system_files)
    for sentence in (*(f"Skipped {sentence}" for sentence in manifest.skipped), *manifest.remarks):
        witness.say(sentence)
    return manifest


def _decided(recipe: Recipe, manifest: Manifest, witness: Witness) -> tuple[Recipe, str]:
    """The recipe with its bits, found from all images, and a sentence with the reason."""
    depths = manifest.depths
    why = "the recipe says so" if recipe.bits else depths.evidence
    recipe = replace(recipe, bits=recipe.bits or depths.depth)
    said = f"{recipe.bits} bits, because {why}"
    if depths.used:
        witness.say(f"Values in 16-bit files are read as {said}.")
    for remark in depths.remarks(recipe.preparation.bits):
        witness.say(remark)
    return recipe, said


def _course(place: Workplace, recipe: Recipe, manifest: Manifest, precision: Precision, witness: Witness) -> Course:
    """The course to start from."""
    if course := place.load(manifest.as_csv(), precision):
        witness.say(f"Continues after {len(course.epochs)} epochs.")
        return course
    if place.has_interrupted:
        witness.say(
            "There is an interrupted training of this model, which --resume would continue. This training starts anew."
        )
    return Course(recipe.batch)


def _load(
    data: Path, manifest: Manifest, splits: tuple[Split, ...], recipe: Recipe, masks: Masks | None, witness: Witness
) -> Dataset:
    """The images for the network: whole, or tiles."""

    def progress(done: int, total: int) -> None:
        witness.progress("reading", done, total)

    if recipe.tiles is None:
        return load_dataset(data, manifest, splits, recipe.preparation, progress)
    dataset = load_tiles(data, manifest, splits, recipe.preparation, recipe.tiles, masks, progress)
    bad = sum(not manifest.classes[target].ok for target in dataset.targets)
    witness.say(f"{len(dataset.targets)} tiles for training and validation, {bad} of them with a defect.")
    return dataset


def _material(dataset: Dataset, watched: Split, recipe: Recipe, wanted: NDArray[np.float32]) -> Material:
    training = dataset.of("train")
    return Material(
        pixels=dataset.pixels,
        answers=wanted,
        weights=class_weights(dataset.targets, training, recipe.class_weights == "balanced"),
        training=training,
        validation=dataset.of(watched),
    )


def _facts(manifest: Manifest) -> dict[str, Any]:
    """The bundle's record of images and software."""
    return {
        "training_images": manifest.counts("train"),
        "validation_images": manifest.counts("validation"),
        "test_images": manifest.counts("test"),
        "skipped": list(manifest.skipped),
        "finished_at": utc_now(),
        "software": SOFTWARE,
    }


def _choices(recipe: Recipe) -> dict[str, Any]:
    """The bundle's record of the recipe, without keys that the bundle holds elsewhere. A file appears by its name."""
    choices = {name: value for name, value in asdict(recipe).items() if name not in ("name", "ok", "width", "height")}
    return {"recipe": recipe.name} | choices | {"weights": Path(recipe.weights).name}
