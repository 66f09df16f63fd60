"""Creates a version of a model with an int8 part: calibrates with training images, measures on other images, and
publishes the version only if its golden images keep their verdicts.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inspectd.dataset.manifest import DATA, Manifest, Sample, read_manifest
from inspectd.dataset.pictures import Unreadable, read_pictures
from inspectd.errors import BundleError, DataError
from inspectd.evaluation.cases import FINDINGS, INT8_FINDINGS, Case, cases_text, read_cases
from inspectd.evaluation.judging import judge
from inspectd.evaluation.quantised import compare, told
from inspectd.model.bundle import INT8, Bundle, write_bundle
from inspectd.model.golden import read_golden
from inspectd.model.inspector import Inspector
from inspectd.model.int8 import convert
from inspectd.model.loading import load_inspector
from inspectd.model.mosaic import Mosaic
from inspectd.model.preparation import prepare, to_channels
from inspectd.model.proof import prove
from inspectd.model.spec import Quantised, Spec
from inspectd.model.versions import folder_of, publish
from inspectd.training.learn import Witness

CALIBRATION = 32  # images, the same number of each class
TILES = 4  # of each image, if images come in tiles
CARD = "card.md"

Item = TypeVar("Item")


def quantize(bundle: Bundle, data: Path, witness: Witness) -> Bundle:
    """Writes the next version of a bundle's model: the same network plus its int8 part.

    Args:
        data: The folder of the training images.

    Raises:
        DataError: the images differ from those that the bundle lists, or it lists none.
        BundleError: int8 does not support the network, a golden image changes its verdict, or the disk refuses the
            files.
    """
    folder, spec = folder_of(bundle), bundle.spec
    if folder is None:
        raise BundleError(f"{bundle.path} is not a version of a model: copy it to MODEL/1 and quantise MODEL.")
    if spec.network == "null":
        raise BundleError(f"{bundle.path} has no network to quantise.")
    learned, known = _listed(bundle)
    chosen = spread(learned, CALIBRATION)
    samples = _prepared(data, chosen, spec)
    part = convert(bundle, samples, lambda *done: witness.progress("calibrating", *done))
    with tempfile.TemporaryDirectory(prefix="inspectd-") as temporary:
        draft = write_bundle(Path(temporary) / "draft", spec, {INT8: part}, bundle)
        inspector = load_inspector(draft, "cpu", "int8")
        _refuse_changed(inspector)
        judged = _judged(inspector, data, known, witness)
        found = compare(known, judged, spec, len(chosen))
        sentences = told(found, "images that chose the threshold")
        for sentence in sentences:
            witness.say(sentence)
        files = {
            INT8: part,
            INT8_FINDINGS: cases_text(judged, spec.classes),
            CARD: _card(bundle, found, sentences),
        }
        return publish(folder, replace(spec, int8=found), files, bundle)


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """A choice of `count` samples: the same number of each class, if it has them, spread over its list."""
    classes = sorted({each.target for each in samples})
    chosen: list[Sample] = []
    for target in classes:
        chosen += _evenly([each for each in samples if each.target == target], -(-count // len(classes)))
    return chosen


def _evenly(items: Sequence[Item], most: int) -> list[Item]:
    """At most `count` of the items, spread evenly."""
    count = min(len(items), most)
    return [items[index * len(items) // count] for index in range(count)]


def _listed(bundle: Bundle) -> tuple[Sequence[Sample], list[Case]]:
    """The training images, and the float32 findings of the images that chose the threshold."""
    if not {DATA, FINDINGS} <= bundle.files:
        raise DataError(
            f"{bundle.path} lists neither its training images ({DATA}) nor its findings on others "
            f"({FINDINGS}): only a model that `inspectd train` made can be quantised."
        )
    manifest: Manifest = read_manifest((bundle.path / DATA).read_bytes(), bundle.spec.classes)
    cases = read_cases(bundle.path / FINDINGS, bundle.spec)
    return manifest.of("train"), [each for each in cases if each.split == "validation"] or cases


def _prepared(data: Path, samples: Sequence[Sample], spec: Spec) -> list[NDArray[np.uint8]]:
    """The samples prepared for the network: whole, or some tiles of each."""
    found: list[NDArray[np.uint8]] = []
    to, tiles = spec.preparation, spec.tiles
    for sample, picture in zip(samples, read_pictures(data, samples, bits=spec.preparation.bits), strict=True):
        if isinstance(picture, Unreadable) or picture.sha256 != sample.sha256:
            raise _other(data, sample.path)
        if tiles is None:
            found.append(prepare(picture.pixels, to))
            continue
        mosaic = Mosaic(to_channels(picture.pixels, to.channels), (to.height, to.width), tiles.overlap)
        found += [mosaic.tile(place).copy() for place in _evenly(mosaic.places, TILES)]
    return found


def _judged(inspector: Inspector, data: Path, known: Sequence[Case], witness: Witness) -> list[Case]:
    """The cases of the same images, in order, by another inspector."""
    samples = [Sample(each.path, each.sha256, each.target, each.split) for each in known]
    splits = {each.sha256: each.split for each in known}
    found = judge(inspector, data, samples, splits, None, lambda *done: witness.progress("measuring", *done))
    cases = {each.case.path: each.case for each in found.judged}
    for each in known:
        if each.path not in cases or cases[each.path].sha256 != each.sha256:
            raise _other(data, each.path)
    return [cases[each.path] for each in known]


def _other(data: Path, path: str) -> DataError:
    return DataError(f"{data / path} is not the image that the model lists: give the folder that it was trained from.")


def _refuse_changed(inspector: Inspector) -> None:
    golden = read_golden(inspector.bundle)
    if golden is None:
        raise BundleError(f"{inspector.bundle.title} has no golden images, so nothing can prove it in int8.")
    proof = prove(inspector, golden, lambda: None)
    if not proof.passed:
        raise BundleError(f"{proof}. Nothing was written: it stays in float32 or bfloat16.")


def _card(bundle: Bundle, found: Quantised, sentences: Sequence[str]) -> bytes:
    """The earlier bundle's card, with the figures of int8 at its top."""
    before = (bundle.path / CARD).read_text() if CARD in bundle.files else ""
    lines = [
        f"# {bundle.spec.name}, with an int8 part",
        "",
        f"The network of {bundle.title}, version {bundle.spec.version}, and its part up to `{bundle.spec.layer}` in "
        f"int8, calibrated with {found.calibrated_with} of its training images, for processors.",
        "",
        *(f"- {sentence}" for sentence in sentences),
        "",
        before,
    ]
    return "\n".join(lines).encode()
