"""From a trained network to a version of its model: saved, measured as it will run, and published with what was found.

What is measured is the saved network, loaded again, in float32: what a worker has to reproduce wherever it runs.
"""

import tempfile
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from inspectd.dataset.manifest import DATA, Manifest, Split
from inspectd.dataset.pictures import read_pictures
from inspectd.dataset.pixels import as_listed
from inspectd.errors import DataError
from inspectd.evaluation.cases import FINDINGS, Case, case, cases_text
from inspectd.evaluation.evaluate import evaluate_split
from inspectd.evaluation.masks import Masks
from inspectd.evaluation.validation import Validation, validate
from inspectd.model.bundle import NETWORK, Bundle, write_bundle
from inspectd.model.golden import Sighting, golden_files
from inspectd.model.inspector import Finding, Inspector, open_inspector
from inspectd.model.networks import target_layer
from inspectd.model.spec import ALL_METHODS, HeatScale, Spec, Thresholds, Tiles
from inspectd.model.versions import publish
from inspectd.paths import from_text
from inspectd.training.course import Course, Workplace
from inspectd.training.learn import Witness
from inspectd.training.recipe import Recipe
from inspectd.training.report import card, curves

AT_ONCE = 8  # images


@dataclass(frozen=True)
class Trained:
    """What learning left.

    Attributes:
        used: Everything that was used, as the bundle keeps it.
        data: The folder that the manifest was made from.
        watched: The split that was watched while learning.
    """

    network: Any
    course: Course
    used: dict[str, Any]
    data: Path
    manifest: Manifest
    watched: Split
    masks: Masks | None


def finish(trained: Trained, out: Path, recipe: Recipe, place: Workplace, witness: Witness) -> Bundle:
    """Saves the network, measures the saved one, and writes the next version of the model `out`."""
    with tempfile.TemporaryDirectory(dir=place.folder) as folder:
        saved = Path(folder) / NETWORK
        place.write(saved, trained.network.save)
        draft = write_bundle(Path(folder) / "draft", _draft(trained, out.name, recipe), {NETWORK: saved})
        inspector = open_inspector(draft, precision=draft.spec.evaluated_in)
        cases, found = _measure(inspector, trained, witness)
        seen = [Sighting(trained.data / from_text(each.path), each.target, each.margin) for each in cases]
        golden = golden_files(inspector, seen, found.thresholds.defect)
        spec = replace(
            draft.spec,
            thresholds=found.thresholds,
            calibration=found.calibration,
            heat_scale=found.heat_scale,
            metrics=found.metrics.as_numbers(),
        )
        measured = write_bundle(Path(folder) / "measured", spec, {}, draft)
        judged = evaluate_split(
            measured,
            trained.data,
            trained.manifest,
            trained.masks,
            lambda *done: witness.progress("evaluating", *done),
        )
        listed = {each.path for each in cases}
        cases += [each for each in judged.cases if each.path not in listed]
        remarks = (*found.remarks, *golden.remarks, *judged.answer, *judged.doubts)
        for remark in remarks:
            witness.say(remark)
        course = trained.course
        pictures = {"curves.png": curves(course.epochs, course.best), "card.md": card(spec, remarks)}
        lists = {DATA: trained.manifest.as_csv(), FINDINGS: cases_text(cases, spec.classes)}
        return publish(out, spec, {NETWORK: saved, **lists, **pictures, **judged.files, **golden.files})


def _draft(trained: Trained, name: str, recipe: Recipe) -> Spec:
    """The bundle's description before anything is measured."""
    classes = trained.manifest.classes
    unmeasured = {each.name: HeatScale(0.0, 1.0) for each in classes if not each.ok}
    return Spec(
        name=name,
        classes=classes,
        activation=trained.network.layers[-1].activation.__name__,
        preparation=recipe.preparation,
        thresholds=Thresholds(0.0),
        heat_scale=dict.fromkeys(ALL_METHODS, unmeasured),
        layer=target_layer(trained.network),
        tiles=None if recipe.tiles is None else Tiles(recipe.tiles),
        training=trained.used,
    )


def _measure(inspector: Inspector, trained: Trained, witness: Witness) -> tuple[list[Case], Validation]:
    """What the network finds in the images that were watched, and what follows from it.

    Where these are the test images they choose no threshold: it stays at the network's own decision.

    Raises:
        DataError: it finds no numbers, or an image changed since it was listed.
    """
    spec = inspector.bundle.spec
    samples = trained.manifest.of(trained.watched)
    pictures = zip(samples, read_pictures(trained.data, samples, inspector.prepare), strict=True)
    whole = (as_listed(trained.data, sample, picture) for sample, picture in pictures)
    at_once = min(AT_ONCE, trained.course.batch)  # memory sufficed for as many
    inspector.warm_up(at_once)
    findings: list[Finding] = []
    while batch := list(islice(whole, at_once)):
        findings += inspector.inspect([picture.pixels for picture in batch], ALL_METHODS)
        witness.progress("measuring", len(findings), len(samples))
    if not all(np.isfinite(finding.logits).all() for finding in findings):
        raise DataError("Learning diverged: the network's logits are no numbers any more. Lower --rate.")
    cases = [
        case(sample.path, sample.sha256, sample.target, sample.split, finding, spec)
        for sample, finding in zip(samples, findings, strict=True)
    ]
    targets = [sample.target for sample in samples]
    threshold = spec.thresholds.defect if trained.watched == "test" else None
    return cases, validate(findings, np.array(targets), spec.classes, spec.activation, threshold)
