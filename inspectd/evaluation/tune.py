"""Another version of a bundle with thresholds for a purpose: the same network, and what its images say of them.

The calibrated probability stays: it says what an image is, the thresholds say what is done about it. What an evaluation
wrote into the bundle holds verdicts by the thresholds before, and stays behind in the version that it is of.
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
    """What became of a bundle.

    Attributes:
        bundle: The new version.
        chosen: What its thresholds do to the images that chose them.
        shown: What they do to test images that chose nothing; None where there are none.
        sentences: For people: the thresholds, what they do, and what can be claimed of them.
    """

    bundle: Bundle
    chosen: Outcome
    shown: Outcome | None
    sentences: tuple[str, ...]


def tune(bundle: Bundle, purpose: Purpose, findings: Path | None = None, out: Path | None = None) -> Tuned:
    """Chooses thresholds and writes the next version of the model with them.

    Args:
        findings: The `findings.csv` of an evaluation, to choose by instead of the bundle's own validation images. Those
            that the network learned from are left out.
        out: The model's folder of versions; None: the one that the bundle lies in.

    Raises:
        DataError: there are no findings of both sides to choose by, or nowhere to write to.
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
        raise DataError(f"{bundle.path} is not a version of a model. Say with --out where its versions are to lie.")
    return folder


def _own(bundle: Bundle) -> list[Case]:
    return read_cases(bundle.path / FINDINGS, bundle.spec) if FINDINGS in bundle.files else []


def _voters(bundle: Bundle, own: Sequence[Case], findings: Path | None) -> tuple[list[Case], str]:
    """The cases that choose, and what they are called."""
    if findings is not None:
        return [
            each for each in read_cases(findings, bundle.spec) if each.split != "train"
        ], f"images of {findings.name}"
    if not own:
        raise DataError(
            f"{bundle.path} has no {FINDINGS} to choose by. Measure it with `inspectd evaluate`, and give the "
            f"{FINDINGS} of that with --findings."
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
        f"{share} of all images are taken to be defects, as among those that choose; --defect-share says otherwise."
    ]


def _metrics(spec: Spec, own: Sequence[Case], thresholds: Thresholds) -> dict[str, Any]:
    """The bundle's metrics, those that follow from a threshold anew, or left out where nothing is known."""
    stay = {name: value for name, value in spec.metrics.items() if name not in ("accuracy", "escapes", "overkills")}
    validation = [each for each in own if each.split == "validation"] or own
    if not validation:
        return stay
    found = outcome(*sides(validation, spec.classes), thresholds)
    changed = {"escapes": found.escape.count, "overkills": found.overkill.count, "reviews": found.review.count}
    return stay | {"accuracy": round(1 - sum(changed.values()) / found.review.of, 6)} | changed


def _card(bundle: Bundle, sentences: Sequence[str]) -> bytes:
    """The card of the tuned bundle, and below it, once, the card of the network as it was trained."""
    before = (bundle.path / CARD).read_text() if CARD in bundle.files else ""
    trained = before.partition(_AS_TRAINED)[2] if _AS_TRAINED in before else f"\n\n{before}"
    lines = [
        f"# {bundle.spec.name}, with other thresholds",
        "",
        f"The network of {bundle.title}, version {bundle.spec.version}. If that has a report, it is by the thresholds "
        "before and not in here; `inspectd evaluate` makes one by these.",
        "",
        *(f"- {sentence}" for sentence in sentences),
        "",
        f"{_AS_TRAINED}{trained}",
    ]
    return "\n".join(lines).encode()


def _of_the_evaluation(bundle: Bundle) -> set[str]:
    """What an evaluation wrote beside the network, into no folder: pages, numbers and pictures; not the training's."""
    written = {name for name in bundle.files if PurePosixPath(name).suffix in (".html", ".json", ".png")}
    return {name for name in written if "/" not in name} - {"curves.png"}
