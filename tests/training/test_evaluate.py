"""Metrics and scale from findings, against other people's arithmetic."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from inspectd.ledger.schema import Verdict
from inspectd.model.inspector import Finding
from inspectd.model.spec import HeatScale, ImageClass, Thresholds
from inspectd.training.evaluate import auc, cross_entropy, evaluate

OK, CRACK, DENT = ImageClass("ok", True), ImageClass("crack", False), ImageClass("dent", False)


def finding(logits: tuple[float, ...], heat: float, explained: str = "crack") -> Finding:
    return Finding(Verdict.OK, "ok", logits, 0.5, explained, np.array([[0.0, heat]], np.float32), HeatScale(0.0, 1.0))


class TestAuc:
    def test_equals_scikit_learns_with_ties(self) -> None:
        rng = np.random.default_rng(4)
        good, bad = rng.integers(0, 20, 70).astype(float), rng.integers(5, 25, 30).astype(float)
        wanted = roc_auc_score([0] * 70 + [1] * 30, np.concatenate([good, bad]))
        assert auc(good, bad) == pytest.approx(wanted, abs=1e-12)

    def test_of_separated_margins_is_one(self) -> None:
        assert auc(np.array([1.0, 2.0]), np.array([2.5, 9.0])) == 1.0


class TestCrossEntropy:
    def test_of_softmax(self) -> None:
        logits = np.array([[2.0, 1.0, -1.0], [0.0, 3.0, 3.0], [900.0, -900.0, 0.0]])
        targets = np.array([0, 2, 0])
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        wanted = log_loss(targets, chances / chances.sum(axis=1, keepdims=True), labels=[0, 1, 2])
        assert cross_entropy(logits, targets, [OK, CRACK, DENT], "softmax") == pytest.approx(wanted)

    def test_of_one_unit(self) -> None:
        logits, targets = np.array([[2.0], [-1.0], [0.5]]), np.array([1, 0, 0])
        wanted = log_loss(targets, 1 / (1 + np.exp(-logits[:, 0])))
        assert cross_entropy(logits, targets, [OK, CRACK], "sigmoid") == pytest.approx(wanted)


class TestEvaluate:
    def test_separated(self) -> None:
        findings = [finding((-5.0,), 1.0), finding((-3.0,), 2.0), finding((5.0,), 8.0), finding((9.0,), 12.0)]
        found = evaluate(findings, np.array([0, 0, 1, 1]), [OK, CRACK], "sigmoid")
        assert found.thresholds == Thresholds(1.0)
        assert (found.metrics.accuracy, found.metrics.auc) == (1.0, 1.0)
        assert (found.metrics.good_max, found.metrics.defect_min) == (-3.0, 5.0)
        scale = found.heat_scale["gradcam"]["crack"]
        assert (scale.low, scale.high) == (pytest.approx(1.99), 10.0)
        assert len(found.remarks) == 1
        assert "the threshold is the middle of the gap" in found.remarks[0]

    def test_overlapping(self) -> None:
        values = [-5.0, -4.0, -3.0, 6.0, -9.0, 7.0, 8.0]
        findings = [finding((value,), 1.0) for value in values]
        found = evaluate(findings, np.array([0, 0, 0, 0, 1, 1, 1]), [OK, CRACK], "sigmoid")
        assert (found.metrics.escapes, found.metrics.overkills) == (1, 0)
        assert found.metrics.accuracy == pytest.approx(6 / 7)
        assert "1 of 3 defects escape and 0 of 4 good images are rejected" in found.remarks[0]

    def test_heat_that_tells_nothing_is_said_and_still_makes_a_scale(self) -> None:
        findings = [finding((0.0, -1.0, -2.0), 5.0), finding((-9.0, 3.0, 0.0), 2.0), finding((-9.0, 0.0, 3.0), 9.0)]
        found = evaluate(findings, np.array([0, 1, 2]), [OK, CRACK, DENT], "softmax")
        assert found.heat_scale["gradcam"] == {"crack": HeatScale(5.0, 10.0), "dent": HeatScale(5.0, 9.0)}
        assert any("does not tell crack from good" in remark for remark in found.remarks)
        dark = evaluate([finding((-1.0,), 0.0), finding((1.0,), 0.0)], np.array([0, 1]), [OK, CRACK], "sigmoid")
        assert dark.heat_scale["gradcam"]["crack"] == HeatScale(0.0, 1.0)
