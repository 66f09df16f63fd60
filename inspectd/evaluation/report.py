"""The report that people read: one HTML file that holds its pictures and needs nothing from outside. It only writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from inspectd.domain import Method, Precision
from inspectd.evaluation.assessment import Assessment, ClassRow
from inspectd.evaluation.contact import ShownImages
from inspectd.evaluation.heat import NEAR
from inspectd.evaluation.judging import Judgement
from inspectd.evaluation.markup import count, interval, picture, rates, section, table
from inspectd.evaluation.quantised import Beside, told
from inspectd.evaluation.rates import below, percent
from inspectd.model.spec import Spec

_STAGES = {
    "read": "waiting for files to be read and decoded",
    "prepare": "preparing pixels",
    "network": "the network with its heat",
    "heat": "regions and masks",
}
_LISTED = 100  # files that could not be read: all of them are in metrics.json


@dataclass(frozen=True)
class Subject:
    """What was evaluated, on what, where and when.

    Attributes:
        identity: The bundle's; None for the bundle that holds this report.
        data: The folder's name.
        part: Which of its images.
        masks: The folder's name, or None.
        remarks: What the inspector says of its device.
        at: UTC, as the ledger writes times.
    """

    spec: Spec
    identity: str | None
    data: str
    part: str
    masks: str | None
    method: Method
    device: str
    precision: Precision
    remarks: tuple[str, ...]
    at: str
    software: str

    def as_numbers(self) -> dict[str, object]:
        """As `metrics.json` keeps it."""
        spec = self.spec
        return {
            "bundle": {"name": spec.name, "version": spec.version, "identity": self.identity},
            "data": {"folder": self.data, "part": self.part, "masks": self.masks},
            "thresholds": spec.thresholds.as_dict(),
            "method": self.method,
            "device": self.device,
            "precision": self.precision,
            "at": self.at,
            "software": self.software,
        }


@dataclass(frozen=True)
class Contents:
    """Everything that a report tells."""

    subject: Subject
    found: Assessment
    judgement: Judgement
    choice: ShownImages
    answer: tuple[str, ...]
    doubts: tuple[str, ...]
    beside: Beside | None = None  # float32, for what was judged in int8


def html(contents: Contents, pictures: Mapping[str, bytes]) -> bytes:
    """The report; `pictures` are PNG files by name."""
    spec = contents.subject.spec
    title = f"Evaluation of {spec.name}, version {spec.version}"
    style = files("inspectd.evaluation").joinpath("report.css").read_text()
    parts = [
        _head(contents, title),
        _subject(contents.subject, contents.found),
        _verdicts(contents, pictures),
        _classes(contents.found.classes),
        _ranking(contents.found, pictures),
        _calibration(contents.found, pictures),
        _heat(contents.found, pictures),
        section("The worst mistakes", picture(pictures, "mistakes.png", contents.choice.title)),
        _beside(contents.beside),
        _speed(contents),
        _unreadable(contents.judgement),
        _foot(contents.subject),
    ]
    page = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n{''.join(parts)}</body>\n</html>\n"
    )
    return page.replace(" %", "\u00a0%").encode()  # a number and its unit stay on one line


def _head(contents: Contents, title: str) -> str:
    found = contents.found
    tiles = [
        ("Escapes", f"{found.escape.count} of {found.escape.of}", f"below {below(found.escape.at_most)} *"),
        ("Overkill", f"{found.overkill.count} of {found.overkill.of}", f"below {below(found.overkill.at_most)} *"),
        ("AUC", f"{found.auc:.4f}", f"average precision {found.average_precision:.4f}"),
    ]
    if found.placement:
        near = found.placement.near
        tiles.append(("Heat on the defect", f"{near.count} of {near.of}", f"hottest within {NEAR:.0f} px"))
    else:
        tiles.append(("Good images kept dark", f"{found.dark.count} of {found.dark.of}", "without any region"))
    shown = "".join(
        f'<div class="tile"><span>{name}</span><b>{value}</b><i>{note}</i></div>' for name, value, note in tiles
    )
    doubts = "".join(f"<li>{escape(doubt)}</li>" for doubt in contents.doubts)
    return (
        f'<header><p class="kicker">inspectd · evaluation</p><h1>{escape(title)}</h1></header>\n'
        f'<p class="lead">{escape(contents.answer[0])}</p>\n'
        + "".join(f"<p>{escape(sentence)}</p>\n" for sentence in contents.answer[1:])
        + (f"<aside><h2>Before you rely on this</h2><ul>{doubts}</ul></aside>\n" if doubts else "")
        + f'<div class="tiles">{shown}</div>\n<p class="note">* one-sided upper bound, 95 % confidence</p>\n'
    )


def _subject(subject: Subject, found: Assessment) -> str:
    spec = subject.spec
    to = spec.preparation
    thresholds = ", ".join(f"{name} from {value:.6g}" for name, value in spec.thresholds.as_dict().items())
    classes = ", ".join(f"{each.name} ({'OK' if each.ok else 'NG'})" for each in spec.classes)
    rows = [
        ("Bundle", f"{spec.name}, version {spec.version}"),
        ("Identity", subject.identity or "that of the bundle which holds this report"),
        ("Classes", classes),
        ("Images", f"{subject.data}: {subject.part}; {found.overkill.of} good, {found.escape.of} defects"),
        ("Masks", subject.masks or "none"),
        ("Network", f"{to.width}×{to.height} pixels; heat by {subject.method} from {spec.layer or 'the null network'}"),
        ("Values in 16-bit files", str(spec.training.get("depth", f"{to.bits} bits"))),
        ("Thresholds (logits)", thresholds),
        ("Computed", f"{subject.precision} on {subject.device}, {subject.software}"),
        ("Finished", f"{subject.at[:19].replace('T', ' ')} UTC"),
        *(("Remark", remark) for remark in subject.remarks),
    ]
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return section("What was evaluated", f'<table class="facts">{body}</table>')


def _verdicts(contents: Contents, pictures: Mapping[str, bytes]) -> str:
    found = contents.found
    counts = rates(
        [
            ("Escape rate: defects passed as OK", found.escape),
            ("Overkill rate: good images rejected", found.overkill),
            ("Review rate: images for a person to look at", found.review),
        ]
    )
    return section(
        "Verdicts",
        picture(pictures, "confusion.png", "Images of each true class by the label of their verdict"),
        counts,
        "The interval (two-sided, 95 %, Clopper–Pearson) says where the true rate lies; the bound (one-sided, 95 %) is "
        "what may be claimed. Both hold for images that are independent of those that made the model, and like them.",
    )


def _classes(rows: Sequence[ClassRow]) -> str:
    many = len(rows) > 2
    head = ["Class", "", "Images", "Escape / overkill", "95 % interval", "Review", "Labelled right (recall)"]
    body = []
    for row in rows:
        cells = [
            f"<b>{escape(row.name)}</b>",
            "OK" if row.ok else "NG",
            str(row.images),
            count(row.wrong),
            interval(row.wrong),
            str(row.review.count),
            count(row.recall),
        ]
        body.append(cells + ([count(row.precision)] if many else []))
    note = (
        "Escapes are counted for NG classes, overkill for OK classes. A defect with the label of another NG class is "
        "no escape, but not labelled right."
    )
    return section("Class by class", table(head + (["Precision of the label"] if many else []), body), note)


def _ranking(found: Assessment, pictures: Mapping[str, bytes]) -> str:
    pair = picture(pictures, "roc.png", "ROC") + picture(pictures, "precision-recall.png", "Precision and recall")
    return section(
        "How well defects and good images are told apart",
        picture(pictures, "margins.png", "Margins of good images and defects"),
        f'<div class="pair">{pair}</div>',
        f"AUC {found.auc:.4f}: the chance that a defect gets a higher margin than a good image, at whatever threshold. "
        f"Average precision {found.average_precision:.4f}; unlike the AUC it depends on the share of defects among the "
        "images.",
    )


def _calibration(found: Assessment, pictures: Mapping[str, bytes]) -> str:
    return section(
        "What the probability is worth",
        f'<div class="pair">{picture(pictures, "calibration.png", "Reliability diagram")}<div>'
        f"<p>Expected calibration error <b>{found.calibration.error:.3f}</b>: how far the calibrated probability of a "
        "defect is, on average, from the share of defects found true.</p><p>Each point stands for the images whose "
        "probability lies in one tenth of the scale; the number beside it says how many they are. Below the diagonal "
        "the model is too sure of defects, above it not sure enough.</p></div></div>",
    )


def _heat(found: Assessment, pictures: Mapping[str, bytes]) -> str:
    shares = [("Good images without any region", found.dark), ("Defects with a region, wherever it lies", found.lit)]
    if found.placement is None:
        note = (
            f"AUC of the heat alone {found.heat_auc:.4f}: the chance that a defect is hotter than a good image. "
            "Without masks (`--masks`) it is not known whether the heat lies on the defect."
        )
        return section("Where the network looked", rates(shares, bound=False), note)
    place = found.placement
    shares += [
        ("Pointing game: hottest point in the mask", place.exact),
        (f"Pointing game: hottest point within {NEAR:.0f} px of the mask", place.near),
        ("Defects with a region that touches the mask", place.touched),
    ]
    return section(
        "Where the network looked",
        rates(shares, bound=False),
        picture(pictures, "distances.png", "Distance of the hottest point from the defect"),
        f"On average {percent(place.inside)} of an image's heat lies in the mask; much of the rest lies around it, "
        "since the heat is coarser than the image. AUC of the heat alone: "
        f"{found.heat_auc:.4f}, the chance that a defect is hotter than a good image.",
    )


def _beside(beside: Beside | None) -> str:
    if beside is None:
        return ""
    found = beside.found
    rows = [
        ["AUC", f"{found.auc_float32:.6f}", f"{found.auc:.6f}"],
        ["Verdicts that differ", "", f"{found.verdicts_changed} of {found.images}"],
        ["Farthest logit", "", f"{found.farthest:.4g}"],
    ]
    return section("int8 beside float32", table(["", "float32", "int8"], rows), *told(found, beside.images))


def _speed(contents: Contents) -> str:
    speed = contents.judgement.speed
    rows = [[name, f"{speed.stages[stage]:.2f} ms"] for stage, name in _STAGES.items()]
    rows.append(["<b>all</b>", f"<b>{sum(speed.stages.values()):.2f} ms</b>"])
    return section(
        "Speed",
        table(["Stage, per image", "Time"], rows),
        f"{speed.rate:.1f} images per second on {contents.subject.device} in {contents.subject.precision}, "
        f"{speed.images} files, warm-up left out. The daemon also draws overlays and keeps records.",
    )


def _unreadable(judgement: Judgement) -> str:
    if not judgement.failed:
        return ""
    rows = [[escape(each.path), escape(each.reason)] for each in judgement.failed[:_LISTED]]
    more = len(judgement.failed) - len(rows)
    note = "They failed: they count as neither right nor wrong." + (
        f" {more} more are in metrics.json." if more else ""
    )
    return section("Files that could not be read", table(["File", "Why"], rows, "text"), note)


def _foot(subject: Subject) -> str:
    return (
        "<footer>Escape: a defect passed as OK. Overkill: a good part rejected. Margin: the logit that decides; the "
        f"higher, the more like a defect. Written by {escape(subject.software)}.</footer>\n"
    )
