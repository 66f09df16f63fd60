"""Evaluates a bundle on images of known class: judges as the daemon, measures, and writes a report with pictures."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inspectd import __version__
from inspectd.clock import utc_now
from inspectd.dataset.folder import FoundFile, find_images, open_folder
from inspectd.dataset.manifest import DATA, Manifest, Sample, Split, read_manifest
from inspectd.domain import DEFAULT_METHOD, Method, PrecisionChoice
from inspectd.durable import write_all
from inspectd.errors import DataError
from inspectd.evaluation import figures, summary
from inspectd.evaluation.assessment import Assessment, as_numbers, assess
from inspectd.evaluation.cases import FINDINGS, Case, cases_text
from inspectd.evaluation.claims import sides
from inspectd.evaluation.contact import least_explained, sheet, worst
from inspectd.evaluation.judging import Judged, Judgement, Progress, judge
from inspectd.evaluation.masks import Masks, find_masks
from inspectd.evaluation.quantised import beside_float32
from inspectd.evaluation.report import Contents, Subject, html
from inspectd.model.bundle import Bundle
from inspectd.model.inspector import Inspector
from inspectd.model.loading import open_inspector
from inspectd.model.spec import ImageClass, Spec

REPORT, METRICS = "report.html", "metrics.json"
MASKS_NAMED = 5  # unusable masks named in a report


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        answer: The sentences that matter, the verdict first.
        doubts: Reasons to doubt the numbers.
        cases: A line for each judged image.
        files: By name: the report, its pictures as PNG, and `metrics.json`.
    """

    answer: tuple[str, ...]
    doubts: tuple[str, ...]
    found: Assessment
    cases: tuple[Case, ...]
    files: dict[str, bytes]


def evaluate(
    inspector: Inspector,
    root: Path,
    files: Sequence[FoundFile | Sample],
    subject: Subject,
    progress: Progress,
    *,
    splits: Mapping[str, Split],
    masks: Masks | None = None,
    remarks: Sequence[str] = (),
) -> Evaluation:
    """Evaluates a bundle on some images of the folder `root`.

    Args:
        subject: The description of bundle and data.
        progress: Called with the number of files done and their total.
        splits: By SHA-256, the split in which the bundle used an image; other images are `test`.
        remarks: Sentences about the folder that a reader must know.

    Raises:
        DataError: there are no good images or no defects, so nothing can be measured.
    """
    spec = inspector.bundle.spec
    judgement = judge(inspector, root, files, splits, masks, progress)
    _refuse_one_side(root, judgement, spec.classes)
    judged = judgement.judged
    found = assess(judged, [each.target for each in judgement.failed], spec.classes)
    answer = summary.verdict(found), summary.heat(found)
    of_depth = judgement.depths.remarks(spec.preparation.bits)
    doubts = (*summary.doubts(found, judged), *remarks, *_of_masks(judgement, masks, spec.classes), *of_depth)
    choice = worst(judged, spec.classes, spec.thresholds.defect)
    pictures = _pictures(found, judged, spec) | {"mistakes.png": sheet(choice, inspector, root, masks)}
    if (weakest := least_explained(judged, spec.classes)).shown:
        pictures["explanations.png"] = sheet(weakest, inspector, root, masks)
    beside = beside_float32(inspector.bundle, (each.case for each in judged)) if subject.precision == "int8" else None
    contents = Contents(subject, found, judgement, choice, answer, doubts, beside)
    numbers = {"format": 1, **subject.as_numbers(), **as_numbers(found)} | {
        "unreadable": [{"path": each.path, "reason": each.reason} for each in judgement.failed],
        "doubts": list(doubts),
        "speed": judgement.speed.as_numbers(),
    }
    if beside:
        numbers["int8"] = beside.as_numbers()
    texts = {
        REPORT: html(contents, pictures),
        METRICS: json.dumps(numbers, indent=1, ensure_ascii=False).encode() + b"\n",
    }
    return Evaluation(answer, doubts, found, tuple(each.case for each in judged), texts | pictures)


def evaluate_folder(
    bundle: Bundle,
    data: Path,
    masks: Path | None,
    progress: Progress,
    device: str = "auto",
    precision: PrecisionChoice = "auto",
    method: Method = DEFAULT_METHOD,
) -> Evaluation:
    """Evaluates a bundle on a folder with a folder of images for each of its classes; see `evaluate`.

    Raises:
        DataError: the images or masks cannot be used.
        BundleError, DeviceError: see `open_inspector`.
    """
    classes = bundle.spec.classes
    folder = open_folder(data, bool(bundle.spec.training.get("system_files")))
    files = find_images(folder, classes)
    for ok, what in ((True, "good images"), (False, "defects")):
        if not any(classes[file.target].ok == ok for file in files):
            names = ", ".join(each.name for each in classes if each.ok == ok)
            why = " ".join((f"{data} has no {what} ({names}).", *folder.remarks))
            raise DataError(f"{why} An evaluation needs both good images and defects.")
    found = find_masks(masks, data, files, classes) if masks else None
    inspector = open_inspector(bundle, device, precision, method)
    subject = describe(inspector, data, "all images", masks, bundle.identity)
    return evaluate(
        inspector, data, files, subject, progress, splits=_splits(bundle), masks=found, remarks=folder.remarks
    )


def evaluate_split(
    bundle: Bundle, data: Path, manifest: Manifest, masks: Masks | None, progress: Progress
) -> Evaluation:
    """Evaluates a draft bundle on its test images, in the precision in which it was measured.

    If the test images lack good images or defects, the validation images are added, and the report says so.
    """
    tested = manifest.of("test")
    enough = len({manifest.classes[sample.target].ok for sample in tested}) == 2
    files = tested if enough else (*manifest.of("validation"), *tested)
    part = "test images" if enough else "validation and test images" if tested else "validation images"
    splits = {sample.sha256: sample.split for sample in manifest.samples}
    inspector = open_inspector(bundle, precision=bundle.spec.evaluated_in)
    subject = describe(inspector, data, part, masks.folder if masks else None, None)
    return evaluate(inspector, data, files, subject, progress, splits=splits, masks=masks)


def describe(inspector: Inspector, data: Path, part: str, masks: Path | None, identity: str | None) -> Subject:
    """Describes bundle and data.

    Args:
        part: The part of the folder's images.
        identity: The bundle's identity; None for a draft that will hold this report.
    """
    return Subject(
        spec=inspector.bundle.spec,
        identity=identity,
        data=data.resolve().name,
        part=part,
        masks=masks.resolve().name if masks else None,
        method=inspector.method,
        device=inspector.device,
        precision=inspector.precision,
        remarks=tuple(inspector.remarks) if identity else (),  # of the very bundle
        at=utc_now(),
        software=f"inspectd {__version__}",
    )


def write(evaluation: Evaluation, bundle: Bundle, out: Path) -> None:
    """Writes all files of an evaluation into the folder `out`, each whole, and replaces earlier ones.

    Raises:
        DataError: they cannot be written.
    """
    files = evaluation.files | {FINDINGS: cases_text(evaluation.cases, bundle.spec.classes)}
    try:
        write_all((out / name, content) for name, content in files.items())
        for name in figures.NAMES - files.keys():
            (out / name).unlink(missing_ok=True)  # of an earlier evaluation, with masks
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}. Choose another --out.") from error


def _refuse_one_side(root: Path, judgement: Judgement, classes: Sequence[ImageClass]) -> None:
    for ok, what in ((True, "good images"), (False, "defects")):
        of_side = [each for each in judgement.judged if classes[each.case.target].ok == ok]
        if not any(math.isfinite(each.case.margin) for each in of_side):
            failed = len(judgement.failed)
            why = f"{failed} files failed, the first because {judgement.failed[0]}" if failed else "no finite number"
            raise DataError(
                f"None of the {what} of {root} could be judged ({why}). "
                "An evaluation needs both good images and defects."
            )


def _of_masks(judgement: Judgement, masks: Masks | None, classes: Sequence[ImageClass]) -> Iterator[str]:
    """Sentences about images and masks that do not fit together."""
    if masks is None:
        return
    yield from masks.remarks
    yield from judgement.remarks[:MASKS_NAMED]
    if (more := len(judgement.remarks) - MASKS_NAMED) > 0:
        yield f"{more} more masks cannot be used either."
    defects = [each.case.path for each in judgement.judged if not classes[each.case.target].ok]
    if bare := [path for path in defects if path not in masks.files]:
        have = "has" if len(bare) == 1 else "have"
        yield f"{len(bare)} of {len(defects)} defects {have} no mask, such as {bare[0]}: no heat measured there."


def _pictures(found: Assessment, judged: Sequence[Judged], spec: Spec) -> dict[str, bytes]:
    good, bad = sides((each.case for each in judged if math.isfinite(each.case.margin)), spec.classes)
    caught, overkill = found.caught.count, found.overkill.count
    recall, rejected = found.caught.value or 0.0, caught + overkill
    precision = caught / rejected if rejected else None
    pictures = {
        "confusion.png": figures.confusion(found.confusion, spec.classes),
        "margins.png": figures.margins(good, bad, spec.thresholds),
        "roc.png": figures.roc(found.curves, found.auc, found.overkill.value or 0.0, recall),
        "precision-recall.png": figures.precision_recall(found.curves, found.average_precision, recall, precision),
        "calibration.png": figures.calibration(found.calibration),
    }
    if found.placement:
        pixels = [each.on_mask.distance for each in judged if each.on_mask]
        pictures["distances.png"] = figures.distances(found.placement.near, pixels)
    return pictures


def _splits(bundle: Bundle) -> dict[str, Split]:
    """By SHA-256, the split in which the bundle used an image; empty if the bundle does not list its images."""
    if DATA not in bundle.files:
        return {}
    manifest = read_manifest((bundle.path / DATA).read_bytes(), bundle.spec.classes)
    return {sample.sha256: sample.split for sample in manifest.samples}
