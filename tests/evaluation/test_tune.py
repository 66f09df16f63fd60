"""A model gets thresholds for a purpose: another version that judges by them and says what it rests on."""

from pathlib import Path

import numpy as np
import pytest
from support.findings import OTHERS, REPORTED, cases, model, outcome_of

from inspectd.domain import Verdict
from inspectd.errors import DataError
from inspectd.evaluation.cases import cases_text, read_cases
from inspectd.evaluation.thresholds import Costs, ErrorLimits
from inspectd.evaluation.tune import tune
from inspectd.model.bundle import load_bundle, write_bundle
from inspectd.model.loading import open_inspector
from inspectd.model.spec import Thresholds
from inspectd.model.versions import current, versions

VALIDATION = cases([-4.0, -3.0, -2.0, 1.0], [-1.0, 2.0, 3.0], "validation")
TEST = cases([-4.5, -0.5], [-1.75, 2.5], "test", start=50)


def test_another_version_judges_by_the_new_threshold(tmp_path: Path) -> None:
    first = model(tmp_path / "screws", [*VALIDATION, *TEST])
    found = tune(first, ErrorLimits(escape=0.0))
    second = load_bundle(tmp_path / "screws" / "2")
    assert second == found.bundle
    assert (second.spec.version, second.spec.thresholds) == (2, Thresholds(-1.5))
    assert second.spec.calibration == first.spec.calibration
    assert (versions(tmp_path / "screws"), current(tmp_path / "screws")) == ([1, 2], 1)
    grey = np.full((64, 64, 3), 102, np.uint8)  # the logit is −1
    assert open_inspector(first).inspect([grey])[0].verdict == Verdict.OK
    assert open_inspector(second).inspect([grey])[0].verdict == Verdict.DEFECT


def test_it_says_what_test_images_support(tmp_path: Path) -> None:
    found = tune(model(tmp_path / "screws", [*VALIDATION, *TEST]), ErrorLimits(escape=0.0))
    assert (found.chosen, found.shown) == (outcome_of(3, 0, 4, 1, 0), outcome_of(2, 1, 2, 1, 0))
    assert found.sentences == (
        "Asked for: at most 0 % of the defects missed.",
        "Now a margin of -1.5 or more is a defect.",
        "Before, a margin of 0 or more is a defect.",
        "On 7 validation images, which chose: 0 of 3 defects missed, 1 of 4 good images rejected.",
        "On 4 test images, which chose nothing: 1 of 2 defects missed: the escape rate is below 97.5 % with 95 % "
        "confidence (one-sided); no number of images shows that it is 0.",
        "On 4 test images, which chose nothing: 1 of 2 good images rejected: the overkill rate is below 97.5 % with "
        "95 % confidence (one-sided).",
    )


def test_it_says_when_the_same_images_chose(tmp_path: Path) -> None:
    for name, own in (("a", VALIDATION), ("b", TEST)):  # b was trained as the article does: its test images chose
        found = tune(model(tmp_path / name, own), ErrorLimits(escape=0.5))
        assert found.shown is None
        assert found.sentences[-1].startswith("The same images chose, so expect more errors on others.")


def test_two_limits_that_one_threshold_cannot_keep_leave_review_between(tmp_path: Path) -> None:
    found = tune(model(tmp_path / "screws", VALIDATION), ErrorLimits(0.0, 0.0))
    assert found.bundle.spec.thresholds == Thresholds(1.5, -1.5)
    assert found.chosen == outcome_of(3, 0, 4, 0, 2)
    assert "Now a margin of 1.5 or more is a defect, and from -1.5 up to there for review." in found.sentences
    metrics = found.bundle.spec.metrics
    assert metrics == {"auc": 0.75, "accuracy": round(5 / 7, 6), "escapes": 0, "overkills": 0, "reviews": 2}


def test_costs_are_of_the_mix_among_the_images_unless_it_is_given(tmp_path: Path) -> None:
    first = model(tmp_path / "screws", VALIDATION)
    alike, rare = tune(first, Costs(3.0, 1.0)), tune(first, Costs(3.0, 1.0, None, 0.01))
    assert alike.bundle.spec.thresholds.defect < rare.bundle.spec.thresholds.defect
    assert any("42.9 % of all images are assumed to be defects" in sentence for sentence in alike.sentences)
    assert not any("assumed to be" in sentence for sentence in rare.sentences)
    assert rare.bundle.spec.training["tuned"] | {"at": ""} == {
        "for": "least cost; an escape costs 3, an overkill 1, where 1 % are defects",
        "by": "7 validation images",
        "from": first.title,
        "at": "",
    }


def test_only_what_still_holds_goes_along(tmp_path: Path) -> None:
    first = model(tmp_path / "screws", VALIDATION)
    second = tune(first, ErrorLimits(escape=0.0)).bundle
    assert "golden/golden.json" in second.files
    assert second.files == first.files - REPORTED
    for name in second.files - {"card.md", "bundle.yaml"}:
        assert (second.path / name).samefile(first.path / name)
    third = tune(second, ErrorLimits(overkill=0.0)).bundle
    card = (third.path / "card.md").read_text()
    assert card.startswith("# screws, with other thresholds")
    assert "- Now a margin of 1.5 or more is a defect.\n- Before, a margin of -1.5 or more is a defect.\n" in card
    assert card.partition("# As it was trained\n\n")[2] == OTHERS["card.md"].decode()
    assert third.spec.training["tuned"]["from"] == second.title


def test_an_evaluation_may_choose_instead_but_not_by_what_was_learned(tmp_path: Path) -> None:
    first = model(tmp_path / "screws", [*VALIDATION, *TEST])
    file = tmp_path / "line-3.csv"
    learned = cases([-9.0], [-8.0], "train", start=90)
    more = cases([-4.0, -3.0], [-2.5, 2.0], "test", start=70)
    file.write_bytes(cases_text([*learned, *more, TEST[0]], first.spec.classes))
    found = tune(first, ErrorLimits(escape=0.0), findings=file)
    assert found.bundle.spec.thresholds == Thresholds(-2.75)
    assert found.bundle.spec.training["tuned"]["by"] == "5 images of line-3.csv"
    assert found.shown is not None
    assert found.shown.review.of == len(TEST) - 1  # one of them chose
    assert found.bundle.spec.metrics["overkills"] == 2  # of the validation images: a metric keeps its meaning


def test_another_model_may_be_written(tmp_path: Path) -> None:
    found = tune(model(tmp_path / "screws", VALIDATION), ErrorLimits(0.0), out=tmp_path / "screws-strict")
    assert found.bundle == load_bundle(tmp_path / "screws-strict")
    assert (found.bundle.spec.name, found.bundle.spec.version) == ("screws-strict", 1)
    assert versions(tmp_path / "screws") == [1]


def test_what_cannot_be_tuned_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    old = model(tmp_path / "old", None)
    with pytest.raises(DataError, match=r"has no findings\.csv to choose by"):
        tune(old, ErrorLimits(0.0))
    one_sided = model(tmp_path / "good", cases([1.0, 2.0], [], "validation"))
    with pytest.raises(DataError, match="both are needed"):
        tune(one_sided, ErrorLimits(0.0))
    alone = write_bundle(tmp_path / "alone", old.spec, {})
    with pytest.raises(DataError, match=r"is not a version of a model\. Give the folder of its versions with --out"):
        tune(alone, ErrorLimits(0.0))
    assert versions(tmp_path / "old") == versions(tmp_path / "good") == [1]


def test_a_bundle_without_findings_keeps_no_metric_of_another_threshold(tmp_path: Path) -> None:
    old = model(tmp_path / "old", None)
    file = tmp_path / "findings.csv"
    file.write_bytes(cases_text(VALIDATION, old.spec.classes))
    assert tune(old, ErrorLimits(0.0), findings=file).bundle.spec.metrics == {"auc": 0.75}
    assert len(read_cases(file, old.spec)) == 7
