"""The null network behind the inspector's interface, and the way there without TensorFlow."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.golden import golden_bundle

from inspectd.domain import Verdict
from inspectd.model.bundle import load_bundle
from inspectd.model.loading import open_inspector
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import Thresholds


def grey(value: int, height: int = 70, width: int = 90) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize(("value", "verdict"), [(0, Verdict.OK), (120, Verdict.REVIEW), (140, Verdict.DEFECT)])
def test_the_brighter_the_more_of_a_defect(value: int, verdict: Verdict, tmp_path: Path) -> None:
    write_null_bundle(tmp_path / "null", thresholds=Thresholds(defect=0.0, review=-1.0))
    inspector = open_inspector(load_bundle(tmp_path / "null"))
    (finding,) = inspector.inspect([inspector.prepare(grey(value))])
    assert finding.verdict == verdict
    assert finding.logits == (pytest.approx(10 * (value / 255 - 0.5), abs=1e-5),)


def test_the_heat_is_where_the_light_is(tmp_path: Path) -> None:
    inspector = open_inspector(write_null_bundle(tmp_path / "null"))
    image = grey(0, 64, 64)
    image[8:16, 48:56] = 255
    (finding,) = inspector.inspect([inspector.prepare(image)])
    assert (finding.heat.shape, finding.heat.dtype) == ((8, 8), np.float32)
    assert finding.heat[1, 6] == 1.0
    assert finding.heat.sum() == 1.0
    assert finding.explained == "defect"
    assert finding.scale.low < 1.0 <= finding.scale.high


def test_needs_no_tensorflow(tmp_path: Path) -> None:
    """Nor to prove its golden images, whether a choice could be remembered or not."""
    write_null_bundle(tmp_path / "null")
    golden_bundle(tmp_path)
    program = f"""
import sys
from pathlib import Path
from inspectd.model.bundle import load_bundle
from inspectd.model.choices import Choices
from inspectd.model.loading import open_inspector
here = Path({str(tmp_path)!r})
for name in ("null", "golden"):
    open_inspector(load_bundle(here / name), choices=Choices(here / "precisions.json")).warm_up(16)
sys.exit(1 if {{"tensorflow", "keras"}} & set(sys.modules) else 0)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
