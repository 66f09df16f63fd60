"""Writes the report for people: one HTML file that contains its pictures and loads nothing.

`templates/report.html` has the sentences and the layout; this module fills it in. Jinja2 escapes every value.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from inspectd.domain import Method, Precision
from inspectd.evaluation.assessment import Assessment
from inspectd.evaluation.contact import ShownImages
from inspectd.evaluation.figures import DPI
from inspectd.evaluation.heat import NEAR
from inspectd.evaluation.judging import Judgement
from inspectd.evaluation.quantised import Beside, told
from inspectd.evaluation.rates import Rate, below, percent
from inspectd.model.spec import Spec

_STAGES = {
    "read": "waiting for files to be read and decoded",
    "prepare": "preparing pixels",
    "network": "the network with its heat",
    "heat": "regions and masks",
}
_LISTED = 100  # files that could not be read; metrics.json has all of them


@dataclass(frozen=True)
class Subject:
    """The bundle, data, device and time of an evaluation.

    Attributes:
        identity: The bundle's identity; None for the bundle that holds this report.
        data: The name of the data's folder.
        part: The part of its images.
        masks: The name of the masks' folder, or None.
        remarks: The inspector's remarks on its device.
        at: The time in UTC, in the ledger's format.
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
        """The entry of `metrics.json`."""
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
    """The content of a report."""

    subject: Subject
    found: Assessment
    judgement: Judgement
    choice: ShownImages
    answer: tuple[str, ...]
    doubts: tuple[str, ...]
    beside: Beside | None = None  # the comparison with float32, for an evaluation in int8


def html(contents: Contents, pictures: Mapping[str, bytes]) -> bytes:
    """Returns the report as UTF-8; `pictures` are PNG files by name."""
    subject, found, judgement = contents.subject, contents.found, contents.judgement
    environment = Environment(
        loader=PackageLoader("inspectd.evaluation"), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    environment.filters |= {"percent": percent, "below": below, "interval": _interval, "counted": _counted}
    page = environment.get_template(
        "report.html"
    ).render(
        title=f"Evaluation of {subject.spec.name}, version {subject.spec.version}",
        style=Markup(files("inspectd.evaluation").joinpath("templates/report.css").read_text()),  # ours
        pictures={name: _embedded(data) for name, data in pictures.items()},
        answer=contents.answer,
        doubts=contents.doubts,
        tiles=_tiles(found),
        facts=_facts(subject, found),
        found=found,
        shares=_shares(found),
        mistakes=contents.choice.title,
        quantised=_quantised(contents.beside) if contents.beside else None,
        stages=_stages(judgement),
        speed=f"{judgement.speed.rate:.1f} images per second on {subject.device} in {subject.precision}, "
        f"{judgement.speed.images} files, without warm-up. The daemon also draws overlays and keeps records.",
        unreadable=[(each.path, each.reason) for each in judgement.failed[:_LISTED]],
        more=max(0, len(judgement.failed) - _LISTED),
        software=subject.software,
    )
    return page.replace(" %", "\u00a0%").encode()  # a number and its unit stay on one line


def _embedded(picture: bytes) -> dict[str, Any]:
    """A PNG file for an `img`: as large on the screen as on paper."""
    return {"data": base64.b64encode(picture).decode(), "width": int.from_bytes(picture[16:20]) * 96 // DPI}


def _interval(rate: Rate) -> str:
    low, high = rate.interval
    return f"{percent(low)} … {percent(high)}" if rate.of else "–"


def _counted(rate: Rate) -> str:
    return f"{rate.count} of {rate.of} ({percent(rate.value)})" if rate.of else "–"


def _tiles(found: Assessment) -> list[tuple[str, str, str]]:
    """The figures at the head of the report: name, value, remark."""
    tiles = [
        ("Escapes", f"{found.escape.count} of {found.escape.of}", f"below {below(found.escape.at_most)} *"),
        ("Overkill", f"{found.overkill.count} of {found.overkill.of}", f"below {below(found.overkill.at_most)} *"),
        ("AUC", f"{found.auc:.4f}", f"average precision {found.average_precision:.4f}"),
    ]
    if found.placement:
        near = found.placement.near
        return [*tiles, ("Heat on the defect", f"{near.count} of {near.of}", f"hottest within {NEAR:.0f} px")]
    return [*tiles, ("Good images kept dark", f"{found.dark.count} of {found.dark.of}", "without any region")]


def _facts(subject: Subject, found: Assessment) -> list[tuple[str, str]]:
    spec, to = subject.spec, subject.spec.preparation
    thresholds = ", ".join(f"{name} from {value:.6g}" for name, value in spec.thresholds.as_dict().items())
    classes = ", ".join(f"{each.name} ({'OK' if each.ok else 'NG'})" for each in spec.classes)
    return [
        ("Bundle", f"{spec.name}, version {spec.version}"),
        ("Identity", subject.identity or "that of the bundle that holds this report"),
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


def _shares(found: Assessment) -> list[tuple[str, Rate]]:
    """The figures of the heat; more of them with masks."""
    shares = [("Good images without any region", found.dark), ("Defects with a region anywhere", found.lit)]
    if place := found.placement:
        shares += [
            ("Pointing game: hottest point in the mask", place.exact),
            (f"Pointing game: hottest point within {NEAR:.0f} px of the mask", place.near),
            ("Defects with a region that touches the mask", place.touched),
        ]
    if grounds := found.grounds:
        shares += [
            ("Rejected defects with a region", grounds.located),
            ("Verdicts that change when the regions are erased", grounds.falls),
            ("Verdicts that change when equal shapes elsewhere are erased", grounds.control_falls),
        ]
    return shares


def _quantised(beside: Beside) -> dict[str, Any]:
    found = beside.found
    rows = [
        ("AUC", f"{found.auc_float32:.6f}", f"{found.auc:.6f}"),
        ("Verdicts that differ", "", f"{found.verdicts_changed} of {found.images}"),
        ("Farthest logit", "", f"{found.farthest:.4g}"),
    ]
    return {"rows": rows, "sentences": [_marked(sentence) for sentence in told(found, beside.images)]}


def _marked(sentence: str) -> Markup:
    """Marks up the `code` in a sentence."""
    parts = sentence.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else p for i, p in enumerate(parts))


def _stages(judgement: Judgement) -> list[tuple[Any, Any]]:
    stages = judgement.speed.stages
    bold = Markup("<b>{}</b>").format
    return [
        *((name, f"{stages[stage]:.2f} ms") for stage, name in _STAGES.items()),
        (bold("all"), bold(f"{sum(stages.values()):.2f} ms")),
    ]
