"""Turns a trained network into a version of its model: saves it, measures the saved network, and publishes both.

The measured network is the saved one, loaded again, in float32: a worker must reproduce these figures on every device.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspectd.dataset.manifest import DATA, Manifest, Split
from inspectd.dataset.pictures import Picture
from inspectd.dataset.pixels import read_listed
from inspectd.evaluation.cases import FINDINGS, cases_text
from inspectd.evaluation.evaluate import evaluate_split
from inspectd.evaluation.masks import Masks
from inspectd.model.bundle import NETWORK, Bundle, write_bundle
from inspectd.model.inspector import Inspector
from inspectd.model.loading import open_inspector
from inspectd.model.networks import target_layer
from inspectd.model.spec import Spec, Thresholds, Tiles
from inspectd.model.surgery import examine
from inspectd.model.versions import name_of, publish
from inspectd.training.course import Course, Workplace
from inspectd.training.learn import Witness
from inspectd.training.measuring import measure, see, unmeasured
from inspectd.training.recipe import Recipe
from inspectd.training.report import card, curves


@dataclass(frozen=True)
class Trained:
    """The result of the training.

    Attributes:
        used: The bundle's record of everything that was used.
        data: The folder from which the manifest was made.
        watched: The split that was watched during training.
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
        draft = write_bundle(Path(folder) / "draft", _draft(trained, name_of(out), recipe), {NETWORK: saved})
        inspector = open_inspector(draft, precision=draft.spec.evaluated_in)
        seen = see(inspector, _watched(inspector, trained, witness), trained.watched)
        # Test images must not choose the threshold: if they were watched, it is the network's own decision.
        threshold = draft.spec.thresholds.defect if trained.watched == "test" else None
        found = measure(inspector, trained.data, seen, threshold)
        spec = found.spec
        measured = write_bundle(Path(folder) / "measured", spec, {}, draft)
        judged = evaluate_split(
            measured,
            trained.data,
            trained.manifest,
            trained.masks,
            lambda *done: witness.progress("evaluating", *done),
        )
        listed = {each.path for each in seen.cases}
        cases = [*seen.cases, *(each for each in judged.cases if each.path not in listed)]
        remarks = (*found.remarks, *judged.answer, *judged.doubts)
        for remark in remarks:
            witness.say(remark)
        course = trained.course
        pictures = {"curves.png": curves(course.epochs, course.best), "card.md": card(spec, remarks)}
        lists = {DATA: trained.manifest.as_csv(), FINDINGS: cases_text(cases, spec.classes)}
        return publish(out, spec, {NETWORK: saved, **lists, **pictures, **judged.files, **found.golden})


def _draft(trained: Trained, name: str, recipe: Recipe) -> Spec:
    """The bundle's description before measuring."""
    classes = trained.manifest.classes
    anatomy = examine(trained.network, (recipe.height, recipe.width, recipe.preparation.channels))
    return Spec(
        name=name,
        classes=classes,
        activation=trained.network.layers[-1].activation.__name__,
        preparation=recipe.preparation,
        thresholds=Thresholds(0.0),
        heat_scale=unmeasured(classes),
        layer=target_layer(trained.network, anatomy),
        tiles=None if recipe.tiles is None else Tiles(recipe.tiles),
        training=trained.used,
    )


def _watched(inspector: Inspector, trained: Trained, witness: Witness) -> Iterator[Picture]:
    """The images that were watched, prepared."""
    samples = trained.manifest.of(trained.watched)

    def progress(*done: int) -> None:
        witness.progress("measuring", *done)

    bits = inspector.bundle.spec.preparation.bits
    return read_listed(trained.data, samples, inspector.prepare, progress, bits=bits)
