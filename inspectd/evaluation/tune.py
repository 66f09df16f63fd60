"""Creates a version of a bundle with other thresholds for a purpose, and the claims that its images support.

The calibrated probability stays, because it does not depend on the thresholds. The files of an evaluation hold verdicts
under the earlier thresholds, so the new version does not contain them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from inspectd.clock import utc_now
from inspectd.errors import DataError
from inspectd.evaluation.cases import FINDINGS, Case, read_cases
from inspectd.evaluation.claims import Outcome, asked, claims, counted, outcome, sides
from inspectd.evaluation.quantised import compared_again
from inspectd.evaluation.rates import percent
from inspectd.evaluation.thresholds import Costs, Purpose, choose
from inspectd.model.bundle import Bundle
from inspectd.model.spec import Spec, Thresholds
from inspectd.model.versions import folder_of, name_of, publish

CARD = "card.md"
_AS_TRAINED = "# As it was trained"


@dataclass(frozen=True)
class Tuned:
    """The result of tuning.

    Attributes:
        bundle: The new version.
        chosen: The errors on the images that chose the thresholds.
        shown: The errors on independent test images; None without any.
        sentences: Sentences for people: the thresholds, their errors and the claims.
    """

    bundle: Bundle
    chosen: Outcome
    shown: Outcome | None
    sentences: tuple[str, ...]


def tune(bundle: Bundle, purpose: Purpose, findings: Path | None = None, out: Path | None = None) -> Tuned:
    """Chooses thresholds and writes the next version of the model with them.

    Args:
        findings: The `findings.csv` of an evaluation, to use instead of the bundle's validation images. Training images
            are left out.
        out: The model's folder of versions; None: that of the bundle.

    Raises:
        DataError: findings of good images or of defects are missing, or there is no folder to write to.
        BundleError: the version cannot be written.
    """
    folder = out or _folder_of(bundle)
    spec, own = bundle.spec, _own(bundle)
    voters, which = _voters(bundle, own, findings)
    thresholds = choose(*sides(voters, spec.classes), purpose)
    chosen = outcome(*sides(voters, spec.classes), thresholds)
    known = {each.sha256 for each in voters}
    unseen = [each for each in own if each.split == "test" and each.sha256 not in known]
    shown = outcome(*sides(unseen, spec.classes), thresholds) if unseen else None
    sentences = [f"Asked for: {asked(purpose)}.", *_assumption(purpose, chosen), *_change(spec.thresholds, thresholds)]
    if shown:
        sentences += [f"On {chosen.review.of} {which}, which chose: {counted(chosen)}."]
        sentences += [
            f"On {shown.review.of} test images, which chose nothing: {claim}" for claim in claims(shown, purpose)
        ]
    else:
        sentences += [f"On {chosen.review.of} {which}: {claim}" for claim in claims(chosen, purpose)]
        sentences += ["The same images chose, so expect more errors on others. Measure with images that chose nothing."]
    tuned_for = {"for": asked(purpose), "by": f"{chosen.review.of} {which}", "from": bundle.title, "at": utc_now()}
    tuned = replace(
        spec,
        name=name_of(folder) if out else spec.name,
        thresholds=thresholds,
        int8=compared_again(bundle, thresholds),
        metrics=_metrics(spec, own, thresholds),
        training=spec.training | {"tuned": tuned_for},
    )
    files = {CARD: _card(bundle, sentences)}
    return Tuned(publish(folder, tuned, files, bundle, _of_the_evaluation(bundle)), chosen, shown, tuple(sentences))


def _folder_of(bundle: Bundle) -> Path:
    folder = folder_of(bundle)
    if folder is None:
        raise DataError(f"{bundle.path} is not a version of a model. Give the folder of its versions with --out.")
    return folder


def _own(bundle: Bundle) -> list[Case]:
    return read_cases(bundle.path / FINDINGS, bundle.spec) if FINDINGS in bundle.files else []


def _voters(bundle: Bundle, own: Sequence[Case], findings: Path | None) -> tuple[list[Case], str]:
    """The cases that choose, and their description."""
    if findings is not None:
        return [
            each for each in read_cases(findings, bundle.spec) if each.split != "train"
        ], f"images of {findings.name}"
    if not own:
        raise DataError(
            f"{bundle.path} has no {FINDINGS} to choose by. Measure it with `inspectd evaluate`, and give "
            f"its {FINDINGS} with --findings."
        )
    validation = [each for each in own if each.split == "validation"]
    return (validation, "validation images") if validation else (list(own), "test images")


def _change(before: Thresholds, after: Thresholds) -> list[str]:
    return [f"Now {_said(after)}.", f"Before, {_said(before)}."]


def _said(thresholds: Thresholds) -> str:
    review = "" if thresholds.review is None else f", and from {thresholds.review:.6g} up to there for review"
    return f"a margin of {thresholds.defect:.6g} or more is a defect{review}"


def _assumption(purpose: Purpose, chosen: Outcome) -> list[str]:
    if not isinstance(purpose, Costs) or purpose.defect_share is not None:
        return []
    share = percent(chosen.escape.of / chosen.review.of)
    return [
        f"{share} of all images are assumed to be defects, as among those that choose; --defect-share changes that."
    ]


def _metrics(spec: Spec, own: Sequence[Case], thresholds: Thresholds) -> dict[str, Any]:
    """The bundle's metrics; those that depend on thresholds are recomputed, or left out if unknown."""
    stay = {name: value for name, value in spec.metrics.items() if name not in ("accuracy", "escapes", "overkills")}
    validation = [each for each in own if each.split == "validation"] or own
    if not validation:
        return stay
    found = outcome(*sides(validation, spec.classes), thresholds)
    changed = {"escapes": found.escape.count, "overkills": found.overkill.count, "reviews": found.review.count}
    return stay | {"accuracy": round(1 - sum(changed.values()) / found.review.of, 6)} | changed


def _card(bundle: Bundle, sentences: Sequence[str]) -> bytes:
    """The card of the tuned bundle, followed by the card of the trained network."""
    before = (bundle.path / CARD).read_text() if CARD in bundle.files else ""
    trained = before.partition(_AS_TRAINED)[2] if _AS_TRAINED in before else f"\n\n{before}"
    lines = [
        f"# {bundle.spec.name}, with other thresholds",
        "",
        f"The network of {bundle.title}, version {bundle.spec.version}. A report in that version uses the "
        "earlier thresholds; `inspectd evaluate` makes one with these.",
        "",
        *(f"- {sentence}" for sentence in sentences),
        "",
        f"{_AS_TRAINED}{trained}",
    ]
    return "\n".join(lines).encode()


def _of_the_evaluation(bundle: Bundle) -> set[str]:
    """The files of an evaluation in the bundle: pages, numbers and pictures, but not those of the training."""
    written = {name for name in bundle.files if PurePosixPath(name).suffix in (".html", ".json", ".png")}
    return {name for name in written if "/" not in name} - {"curves.png"}
