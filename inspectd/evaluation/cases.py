"""Cases: a bundle's findings on images of known class, stored in the bundle's `findings.csv`.

Thresholds, metrics and reports need only cases, neither images nor TensorFlow. Logits and heat are float32 numbers,
written as the shortest text that reads back as the same number.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inspectd.dataset.manifest import SPLITS, Split
from inspectd.errors import DataError
from inspectd.model.inspector import Finding
from inspectd.model.spec import ImageClass, Spec
from inspectd.model.verdict import margin

FINDINGS = "findings.csv"
INT8_FINDINGS = "findings.int8.csv"  # the int8 findings on the images that chose the threshold
_COLUMNS = ("path", "sha256", "class", "split", "logits", "margin", "heat_max", "explained")


@dataclass(frozen=True)
class Case:
    """One image of known class, and a network's finding on it.

    Attributes:
        path: Its path relative to the data's folder, with `/`.
        target: The true class, an index into the bundle's classes.
        split: Whether it chose the threshold (`validation`) or is independent of it (`test`). An evaluation of any
            folder may also hold training images (`train`).
        logits: float32 values, one per output of the network.
        margin: Its margin (`verdict.margin`); NaN if a logit is not finite.
        heat_max: The heat's maximum, in the units of the heat scale.
        explained: The class whose logit the heat explains.
    """

    path: str
    sha256: str
    target: int
    split: Split
    logits: tuple[float, ...]
    margin: float
    heat_max: float
    explained: str


def case(path: str, sha256: str, target: int, split: Split, finding: Finding, spec: Spec) -> Case:
    """The case of a finding by the bundle with this `spec`."""
    return Case(
        path=path,
        sha256=sha256,
        target=target,
        split=split,
        logits=finding.logits,
        margin=margin(finding.logits, spec.classes, spec.activation),
        heat_max=float(finding.heat.max()),
        explained=finding.explained,
    )


def cases_text(cases: Iterable[Case], classes: Sequence[ImageClass]) -> bytes:
    """The cases as CSV, one row each, in UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in cases:
        logits = " ".join(_float32(logit) for logit in each.logits)
        name, heat = classes[each.target].name, _float32(each.heat_max)
        writer.writerow((each.path, each.sha256, name, each.split, logits, repr(each.margin), heat, each.explained))
    return text.getvalue().encode()


def read_cases(path: Path, spec: Spec) -> list[Case]:
    """Reads what `cases_text` wrote for a bundle with these classes; margins follow from the logits.

    Raises:
        DataError: it cannot be read, is another kind of file, or belongs to a bundle with other classes.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) != _COLUMNS:
                raise DataError(f"{path} holds no findings: its first line must be {','.join(_COLUMNS)}.")
            return [_case(row, spec, f"{path}, line {rows.line_num}") for row in rows]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8: {error}.") from error


def _case(row: dict[str, str], spec: Spec, where: str) -> Case:
    names = [each.name for each in spec.classes]
    if row["class"] not in names:
        raise DataError(f"{where}: the model has no class {row['class']}, only {', '.join(names)}.")
    try:
        logits = tuple(float(np.float32(text)) for text in row["logits"].split())
        whole = len(row) == len(_COLUMNS) and None not in row.values()
        if not whole or len(logits) not in (len(names), 1) or row["split"] not in SPLITS:
            raise ValueError
        return Case(
            path=row["path"],
            sha256=row["sha256"],
            target=names.index(row["class"]),
            split=row["split"],
            logits=logits,
            margin=margin(logits, spec.classes, spec.activation),
            heat_max=float(np.float32(row["heat_max"])),
            explained=row["explained"],
        )
    except (ValueError, AttributeError, TypeError):
        raise DataError(f"{where} is damaged: {', '.join(str(value) for value in row.values())}.") from None


def _float32(value: float) -> str:
    return str(np.float32(value))
