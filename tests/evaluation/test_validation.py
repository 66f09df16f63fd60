"""What a bundle takes from findings on its validation images."""

import numpy as np
import pytest

from inspectd.domain import Verdict
from inspectd.evaluation.heatscale import heat_scales
from inspectd.evaluation.validation import validate
from inspectd.model.inspector import Finding
from inspectd.model.spec import HeatScale, ImageClass, Thresholds

OK, CRACK, DENT = ImageClass("ok", True), ImageClass("crack", False), ImageClass("dent", False)


def finding(logits: tuple[float, ...], heat: float, explained: str = "crack") -> Finding:
    map, maxima = np.array([[0.0, heat]], np.float32), {"gradcam": heat, "layercam": 3 * heat}
    return Finding(Verdict.OK, "ok", logits, 0.5, explained, "gradcam", map, HeatScale(0.0, 1.0), maxima)


class TestValidate:
    def test_separated(self) -> None:
        findings = [finding((-5.0,), 1.0), finding((-3.0,), 2.0), finding((5.0,), 8.0), finding((9.0,), 12.0)]
        found = validate(findings, np.array([0, 0, 1, 1]), [OK, CRACK], "sigmoid")
        assert found.thresholds == Thresholds(1.0)
        assert (found.metrics.accuracy, found.metrics.auc) == (1.0, 1.0)
        assert (found.metrics.good_max, found.metrics.defect_min) == (-3.0, 5.0)
        scale = found.heat_scale["gradcam"]["crack"]
        assert (scale.low, scale.high) == (pytest.approx(1.99), pytest.approx((1.99 + 10) / 2))
        other = found.heat_scale["layercam"]["crack"]
        assert (other.low, other.high) == (pytest.approx(3 * 1.99), pytest.approx(3 * (1.99 + 10) / 2))
        assert len(found.remarks) == 1
        assert "the threshold is the middle of the gap" in found.remarks[0]

    def test_overlapping(self) -> None:
        values = [-5.0, -4.0, -3.0, 6.0, -9.0, 7.0, 8.0]
        findings = [finding((value,), 1.0) for value in values]
        found = validate(findings, np.array([0, 0, 0, 0, 1, 1, 1]), [OK, CRACK], "sigmoid")
        assert (found.metrics.escapes, found.metrics.overkills) == (1, 0)
        assert found.metrics.accuracy == pytest.approx(6 / 7)
        assert "1 of 3 defects escape and 0 of 4 good images are rejected" in found.remarks[0]

    def test_images_that_are_not_to_choose_are_only_measured(self) -> None:
        findings = [finding((-5.0,), 1.0), finding((-3.0,), 2.0), finding((-1.0,), 8.0), finding((9.0,), 12.0)]
        found = validate(findings, np.array([0, 0, 1, 1]), [OK, CRACK], "sigmoid", threshold=0.0)
        assert (found.thresholds, found.calibration.offset) == (Thresholds(0.0), 0.0)
        assert (found.metrics.escapes, found.metrics.overkills, found.metrics.auc) == (1, 0, 1.0)
        assert found.remarks[0].startswith("At the threshold 0, which no image chose, 1 of 2 defects escape")

    def test_heat_that_tells_nothing_is_said_and_still_makes_a_scale(self) -> None:
        findings = [finding((0.0, -1.0, -2.0), 5.0), finding((-9.0, 3.0, 0.0), 2.0), finding((-9.0, 0.0, 3.0), 9.0)]
        found = validate(findings, np.array([0, 1, 2]), [OK, CRACK, DENT], "softmax")
        assert found.heat_scale["gradcam"] == {"crack": HeatScale(5.0, 7.5), "dent": HeatScale(5.0, 7.0)}
        assert any("does not separate crack from good" in remark for remark in found.remarks)
        dark = validate([finding((-1.0,), 0.0), finding((1.0,), 0.0)], np.array([0, 1]), [OK, CRACK], "sigmoid")
        assert dark.heat_scale["gradcam"]["crack"] == HeatScale(0.0, 0.5)


def test_every_method_has_a_scale_of_its_own() -> None:
    maxima = {"gradcam": np.array([1.0, 3.0]), "layercam": np.array([0.5, 0.2])}
    scales, remarks = heat_scales(maxima, ["crack", "crack"], np.array([0, 1]), [OK, CRACK])
    assert scales == {"gradcam": {"crack": HeatScale(1.0, 2.0)}, "layercam": {"crack": HeatScale(0.5, 0.75)}}
    assert len(remarks) == 1
    assert "does not separate crack from good (layercam:" in remarks[0]
