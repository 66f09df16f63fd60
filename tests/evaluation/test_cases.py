"""findings.csv keeps every float32 exactly, and a file that is not one is refused with a sentence."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inspectd.domain import Verdict
from inspectd.errors import DataError
from inspectd.evaluation.cases import Case, case, cases_text, read_cases
from inspectd.model.inspector import Finding
from inspectd.model.spec import HeatScale, ImageClass, Preparation, Spec, Thresholds

CLASSES = (ImageClass("ok", True), ImageClass("scratch, deep", False))
SPEC = Spec(
    name="screws",
    classes=CLASSES,
    activation="softmax",
    preparation=Preparation(32, 32),
    thresholds=Thresholds(0.0),
    heat_scale={"gradcam": {"scratch, deep": HeatScale(0.0, 1.0)}},
    layer="last",
)


def found(logits: np.ndarray, path: str = "ok/a.png") -> Case:
    values = tuple(float(logit) for logit in logits)
    heat = np.array([[0.0, logits[0]]], np.float32)
    finding = Finding(Verdict.OK, "ok", values, 0.5, "scratch, deep", "gradcam", heat, HeatScale(0.0, 1.0), {})
    return case(path, "0" * 64, 1, "test", finding, SPEC)


def test_every_float32_comes_back_as_it_was(tmp_path: Path) -> None:
    bits = np.random.default_rng(3).integers(0, 2**31, (500, 2), np.uint32)
    logits = bits.view(np.float32)
    cases = [found(pair) for pair in logits[np.isfinite(logits).all(axis=1)]]
    file = tmp_path / "findings.csv"
    file.write_bytes(cases_text(cases, CLASSES))
    assert read_cases(file, SPEC) == cases
    assert len(cases) > 400


def test_any_name_comes_back(tmp_path: Path) -> None:
    cases = [found(np.ones(2, np.float32), path) for path in ('ok/"a", b.png', "ok/two\nlines.png", "ok/größe.png")]
    file = tmp_path / "findings.csv"
    file.write_bytes(cases_text(cases, CLASSES))
    assert read_cases(file, SPEC) == cases


def test_a_margin_that_is_no_number_stays_none(tmp_path: Path) -> None:
    file = tmp_path / "findings.csv"
    file.write_bytes(cases_text([found(np.array([np.nan, 1.0], np.float32))], CLASSES))
    assert math.isnan(read_cases(file, SPEC)[0].margin)


def test_margins_are_written_for_people() -> None:
    row = cases_text([found(np.array([1.5, 4.0], np.float32))], CLASSES).decode().splitlines()[1]
    assert row == f'ok/a.png,{"0" * 64},"scratch, deep",test,1.5 4.0,2.5,1.5,"scratch, deep"'


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("sha256", "sha1"), "holds no findings"),
        (lambda text: text.replace('"scratch, deep",test', "dent,test"), "line 2: the model has no class dent"),
        (lambda text: text.replace("1.0 1.0", "1.0 1.0 1.0"), "line 2 is damaged"),
        (lambda text: text.replace("1.0 1.0", "1.0 much"), "line 2 is damaged"),
        (lambda text: text.replace(",test", ",tested"), "line 2 is damaged"),
        (lambda text: text[: text.rindex(",test")], "line 2 is damaged"),
        (lambda text: text[: text.rindex(',"scratch')], "line 2 is damaged"),
        (lambda text: text.rstrip() + ",more", "line 2 is damaged"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change, said: str) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "findings.csv"
    file.write_text(change(cases_text([found(np.ones(2, np.float32))], CLASSES).decode()))
    with pytest.raises(DataError, match=said):
        read_cases(file, SPEC)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_cases(tmp_path / "none.csv", replace(SPEC))
