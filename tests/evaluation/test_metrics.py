"""The numbers against other people's arithmetic."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from inspectd.evaluation.metrics import auc, cross_entropy
from inspectd.model.spec import ImageClass

OK, CRACK, DENT = ImageClass("ok", True), ImageClass("crack", False), ImageClass("dent", False)


class TestAuc:
    def test_counts_pairs_and_half_of_the_ties(self) -> None:
        rng = np.random.default_rng(4)
        good, bad = rng.integers(0, 20, 70).astype(float), rng.integers(5, 25, 30).astype(float)
        pairs = np.sign(bad[:, None] - good[None, :])
        assert auc(good, bad) == pytest.approx((pairs + 1).mean() / 2, abs=1e-12)

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
