"""One model in words: its row in a list, and everything about it."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inspectd.cli.output import local_time, program
from inspectd.model.bundle import Bundle
from inspectd.model.catalog import CatalogEntry
from inspectd.model.versions import current

COLUMNS = ("model", "version", "current", "bundle", "written", "AUC", "escapes", "overkills")

GOLDEN_COLUMNS = ("image", "class", "expected", "found", "logits", "found", "off by", "heat", "")


def row(entry: CatalogEntry) -> tuple[str, ...]:
    """The cells of one bundle in a list."""
    mark = "current" if entry.is_current else ""
    if entry.bundle is None:
        return (str(entry.model), entry.path.name, mark, f"unusable: {entry.problem}", "", "", "", "")
    spec = entry.bundle.spec
    return (
        str(entry.model),
        str(spec.version),
        mark,
        entry.bundle.title,
        local_time(entry.written_at),
        f"{spec.metrics['auc']:.4f}" if "auc" in spec.metrics else "",
        _share(spec.metrics, "escapes", "defects"),
        _share(spec.metrics, "overkills", "good"),
    )


def golden_row(image: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of one golden image that was reproduced."""
    return (
        image["image"],
        image["class"],
        image["expected_verdict"],
        image["verdict"],
        _numbers(image["expected_logits"]),
        _numbers(image["logits"]),
        "no number" if image["share"] is None else f"{image['share']:.2%}",
        "" if image["cosine"] is None else f"{image['cosine']:.4f}",
        "passes" if image["passes"] else "FAILS",
    )


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.5g}" for value in values)


def facts(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Name and value of everything in a bundle."""
    spec = bundle.spec
    to = spec.preparation
    yield "model", f"{spec.name} version {spec.version} (bundle {bundle.identity})"
    yield "folder", str(bundle.path)
    yield "network", spec.network if spec.layer is None else f"{spec.network}, explained at the layer {spec.layer}"
    yield "classes", ", ".join(f"{each.name} ({'OK' if each.ok else 'NG'})" for each in spec.classes)
    scaled = {"backbone": f"as for {to.backbone}", "scale": "divided by 255", "none": "as they are"}[to.preprocess]
    yield "input", f"{to.width} × {to.height}, {'grey' if to.channels == 1 else 'RGB'}, pixels {scaled}"
    yield "16-bit files", f"values of {to.bits} bits"
    if spec.tiles:
        yield "tiles", f"of that size, overlapping by {spec.tiles.overlap} pixels; the worst decides"
    yield "thresholds", ", ".join(f"{name} from {_number(value)}" for name, value in spec.thresholds.as_dict().items())
    yield (
        "calibration",
        f"sigmoid((margin − {_number(spec.calibration.offset)}) / {_number(spec.calibration.temperature)})",
    )
    for method, scales in spec.heat_scale.items():
        shown = (f"{name} {scale.low:.4g} to {scale.high:.4g}" for name, scale in scales.items())
        yield "heat", f"{method}: {', '.join(shown)}"
    yield "evaluated", f"in {spec.evaluated_in}"
    if spec.int8:
        for name, value in _flat(asdict(spec.int8)):
            yield "int8", f"{name} {value}"
    for name, value in _flat(spec.metrics):
        yield "metric", f"{name} {value}"
    for name, value in _flat(spec.training):
        yield "training", f"{name} {value}"
    golden = [name for name in bundle.files if name.startswith("golden/") and not name.endswith(".json")]
    yield "golden", f"{len(golden)} images" if golden else "none: the model cannot be proven on a device"
    for name in sorted(bundle.files):
        yield "file", f"{name} ({(bundle.path / name).stat().st_size:,} bytes)"


def whats_next(bundle: Bundle, model: Path) -> Iterator[str]:
    """The next steps for a version that was just written into the folder `model`."""
    yield f"Try it: {program()} inspect --model {shlex.quote(str(bundle.path))} FILE…"
    if (before := current(model)) != bundle.spec.version:
        choose = f"{program()} model activate {shlex.quote(str(model))} {bundle.spec.version}"
        yield f"Version {before or 'none'} still judges. To judge with this one: {choose}"


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield name, ", ".join(f"{key} {_text(each)}" for key, each in value.items())
        elif isinstance(value, list):
            yield from ((name, _text(each)) for each in value)
        else:
            yield name, _text(value)


def _text(value: object) -> str:
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    return f"{value:.4g}"


def _share(metrics: Mapping[str, Any], part: str, whole: str) -> str:
    return f"{metrics[part]} of {metrics[whole]}" if part in metrics and whole in metrics else ""
