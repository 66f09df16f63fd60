"""One image of the ledger in words: a sentence that answers, then all details."""

from collections.abc import Iterator, Sequence

from inspectd.cli.output import local_time
from inspectd.domain import DEFAULT_METHOD, support_text
from inspectd.ledger.read.search import Detail, InspectionDetail, Row

MOST = 20  # images that are shown in full
WORST_FIRST = ("defect", "failed", "review", "pending", "ok")


def sentence(detail: Detail) -> str:
    """The answer: was the image inspected, with what outcome, and why."""
    row = detail.row
    file = f"{row.path} in watch {row.watch}"
    who = f"Part {row.part} (image {row.id}, {file})" if row.part else f"Image {row.id} ({file})"
    at = local_time(row.inspected_at)
    by = f"with score {_number(row.score)} by {row.model}"
    on = f" ({row.reason})" if row.reason else ""
    if row.verdict == "pending":
        why = f"; {row.reason}" if row.reason else ""
        return f"{who} has been seen but not inspected yet: it is {detail.state}{why}."
    if row.verdict == "failed":
        return f"{who} could not be inspected on {at}, and so was not passed: {_clause(row.reason)}."
    if row.verdict == "ok":
        said = f"was inspected on {at} and passed as {row.label} {by}{on}."
    elif row.verdict == "defect":
        said = f"was inspected on {at} and rejected for {row.label} {by}{on}{_where(detail)}."
    else:
        why = f": {_clause(row.reason)}" if row.reason else f": it may be {row.label}"
        said = f"was inspected on {at} and set aside for a person to review {by}{why}."
    return f"{who} {said}{_reviewed(row)}"


def summary(what: str, details: Sequence[Detail]) -> str:
    """One sentence about several images: how many have which outcome."""
    verdicts = [detail.row.verdict for detail in details]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in WORST_FIRST if verdict in verdicts)
    shown = f"the newest {MOST}" if len(details) > MOST else "the newest first"
    return f"{len(details)} images are known as {what}: {counts}; {shown}:"


def facts(detail: Detail, overlay: str | None, source: str, others: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Name and value of all other details.

    Args:
        overlay: The overlay's full path.
        source: Where the file is now.
        others: The other images with the same name.
    """
    row = detail.row
    yield "verdict", row.verdict + (f", reviewed as {row.reviewed_as}" if row.reviewed_as else "")
    if row.reason:
        yield "reason", row.reason
    if detail.fields:
        yield "fields", ", ".join(f"{name} {value}" for name, value in detail.fields.items())
    if detail.in_force:
        yield from _inspection(detail.in_force)
        yield "overlay", overlay or "none was written, or retention has removed it"
    yield "source", source
    if detail.pinned:
        yield "pinned", "yes: retention never removes it"
    yield "sha256", row.sha256 or "not read yet"
    yield "seen", local_time(detail.seen_at)
    yield "attempts", str(detail.attempt) + (f", {detail.deaths} of them ended the worker" if detail.deaths else "")
    for each in detail.inspections:
        if each.id != detail.inspection_id:
            yield "judged also", f"{local_time(each.inspected_at)} {_verdict(each)}"
    for review in detail.reviews:
        note = f": {review.note}" if review.note else ""
        yield "review", f"{local_time(review.reviewed_at)} {review.reviewed_as} by {review.reviewer}{note}"
    for other in others:
        yield "same name", f"image {other.id}: {other.verdict} {local_time(other.inspected_at)}".rstrip()


def _inspection(found: InspectionDetail) -> Iterator[tuple[str, str]]:
    yield "label", found.label
    yield "score", f"{_number(found.score)} (calibrated probability of a defect)"
    names = found.classes if len(found.classes) == len(found.logits) else ["defect"]
    yield "logits", ", ".join(f"{name} {_number(value)}" for name, value in zip(names, found.logits, strict=False))
    yield "thresholds", ", ".join(f"{name} from {_number(value)}" for name, value in found.thresholds.items())
    yield "regions", _regions(found.regions) or "none"
    if found.support is not None:
        change = "is rejected no longer" if found.verdict_falls else "is still rejected"
        yield "support", f"{support_text(found.support)}; without the regions the image {change}"
    yield "model", f"{found.model} version {found.version} (bundle {found.bundle})"
    yield (
        "computed",
        f"{found.precision} on {found.device}, heat by {found.method or DEFAULT_METHOD}, inspectd {found.software}",
    )
    yield "timings", ", ".join(f"{stage} {_number(value)} ms" for stage, value in found.timings.items())


def _verdict(found: InspectionDetail) -> str:
    drawn = f", drawn in {found.overlay}" if found.overlay else ""
    page = f" on page {found.page}" if found.page else ""
    return f"{found.verdict}{page} ({found.label}, score {_number(found.score)}) by {found.model}{drawn}"


def _regions(regions: Sequence[dict[str, float]]) -> str:
    return "; ".join(
        f"{region['width']:.0f} × {region['height']:.0f} pixels at x {region['x']:.0f}, y {region['y']:.0f} "
        f"(peak {_number(region['peak'])})"
        for region in regions
    )


def _where(detail: Detail) -> str:
    """The hottest region, which shows why."""
    regions = detail.in_force.regions if detail.in_force else []
    return f", seen in {_regions(regions[:1])}" if regions else ""


def _reviewed(row: Row) -> str:
    return f" A person has since called it {row.reviewed_as}." if row.reviewed_as else ""


def _clause(reason: str | None) -> str:
    return (reason or "for a reason that was not recorded").removesuffix(".")


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}" if abs(value) < 1000 else f"{value:.0f}"
