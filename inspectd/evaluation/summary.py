"""Words an evaluation in sentences: its results, and the reasons to doubt them."""

from collections.abc import Iterator, Sequence

from inspectd.evaluation.assessment import Assessment
from inspectd.evaluation.claims import Outcome, claims
from inspectd.evaluation.heat import NEAR
from inspectd.evaluation.judging import Judged
from inspectd.evaluation.rates import percent
from inspectd.evaluation.thresholds import ErrorLimits


def verdict(found: Assessment) -> str:
    """The result: the errors, and the bounds on their rates."""
    said = claims(Outcome(found.escape, found.overkill, found.review), ErrorLimits())
    if found.failed:
        said.append(f"{found.failed} {'file' if found.failed == 1 else 'files'} could not be read and failed.")
    return " ".join(said)


def heat(found: Assessment) -> str:
    """Sentences about the trust in the heat."""
    grounds = found.grounds
    if grounds is None:
        return _place(found)
    return (
        f"{_place(found)} With the shown regions erased, the median rejected defect loses "
        f"{percent(_bounded(grounds.share))} of its margin and {grounds.falls.count} of {grounds.falls.of} verdicts "
        f"change; with equal shapes elsewhere, {percent(_bounded(grounds.control_share))} and "
        f"{grounds.control_falls.count} of {grounds.control_falls.of}."
    )


def _bounded(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _place(found: Assessment) -> str:
    if found.placement is None:
        return (
            f"{found.dark.count} of {found.dark.of} good images have no hot region, and {found.lit.count} of "
            f"{found.lit.of} defects have one; without masks it is unknown whether it lies on the defect."
        )
    near, touched = found.placement.near, found.placement.touched
    return (
        f"The heat is hottest on the defect, or within {NEAR:.0f} px of it, for {near.count} of {near.of} defects with "
        f"a mask; a region touches the mask for {touched.count}. {found.dark.count} of {found.dark.of} good images "
        "have no region."
    )


def doubts(found: Assessment, judged: Sequence[Judged]) -> Iterator[str]:
    """Warnings that a reader needs before trusting the numbers; none if all is well."""
    if found.grounds and not found.grounds.explain:
        yield (
            "The heat does not explain the verdicts: without the shown regions the median rejected defect keeps "
            f"{percent(1 - _bounded(found.grounds.share))} of its margin, and {found.grounds.located.count} of "
            f"{found.grounds.located.of} rejected defects show a region. Train with `head: evidence`, which decides by "
            "places, or choose another layer or method."
        )
    splits = [each.case.split for each in judged]
    if learned := splits.count("train"):
        yield (
            f"{learned} of {len(splits)} images are training images: the numbers flatter the network. "
            "Evaluate it on images that it has never seen."
        )
    if chose := splits.count("validation"):
        yield (
            f"{chose} of {len(splits)} images also chose the epoch and the threshold (validation): expect somewhat "
            "less on new ones."
        )
    if found.heat_is_misplaced:
        yield f"The AUC is perfect ({found.auc:.4f}), but the heat is misplaced: {_misplaced(found)} {_ADVICE}"


_ADVICE = (
    "The verdicts are right and the overlays do not show why. Training with `--preprocess backbone` or a finer `--cut` "
    "often helps."
)


def _misplaced(found: Assessment) -> str:
    if found.placement is None:
        return f"it does not separate defects from good images (its own AUC is {found.heat_auc:.3f})."
    near = found.placement.near
    return f"it is hottest on the defect, or within {NEAR:.0f} px of it, for only {near.count} of {near.of} defects."
