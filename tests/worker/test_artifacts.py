"""Names and contents of what an outcome leaves behind outside the ledger."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inspectd.domain import Stat
from inspectd.ledger.records import Claim, Failed
from inspectd.paths import to_text
from inspectd.worker.artifacts import artifact_path, sidecar
from inspectd.worker.judge import stored_heat


def make_claim(path: str) -> Claim:
    return Claim(
        image_id=17,
        attempt=1,
        watch="line",
        path=path,
        stat=Stat(1, 2, 3),
        seen_at="2026-11-23T23:59:59.999Z",
        part="4711",
        fields={"part": "4711"},
        sha256=None,
        reason=None,
        alone=False,
    )


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("sub/4711.left.png", "4711.left"),
        ("x" * 251 + ".png", "x" * 80),
        ("é" * 60 + ".png", "é" * 40),
        ("a" + "é" * 60 + ".png", "a" + "é" * 39),
        ("line\nbreak.png", "line_break"),
    ],
)
def test_a_name_depends_on_the_image_and_the_model_alone(path: str, stem: str) -> None:
    assert artifact_path(make_claim(path), "1a2b3c4d", ".jpg") == Path("line/2026-11-23", f"{stem}-17-1a2b3c4d.jpg")


@given(path=st.text().map(os.fsencode).map(to_text) | st.binary().map(to_text))
@example(path="..")
@example(path="a/../../../x.png")
def test_no_name_leads_out_of_the_output_folder(path: str) -> None:
    *folders, name = artifact_path(make_claim(path), "1a2b3c4d", ".json").parts
    assert folders == ["line", "2026-11-23"]
    assert name.endswith("-17-1a2b3c4d.json")
    assert len(f".{name}.tmp".encode()) <= 255


def test_a_failure_has_a_sidecar_with_the_same_keys() -> None:
    record = json.loads(sidecar(Failed(make_claim("a.png"), "truncated: it ends early", "ab" * 32), Path("/output")))
    assert record == {
        "verdict": "failed",
        "reason": "truncated: it ends early",
        "label": None,
        "score": None,
        "support": None,
        "part": "4711",
        "watch": "line",
        "path": "a.png",
        "overlay": None,
        "sha256": "ab" * 32,
    }


@pytest.mark.parametrize("shape", [(8, 8), (32, 32), (128, 128), (33, 100), (1, 500)])
def test_the_stored_heat_is_small_and_keeps_its_peak(shape: tuple[int, int]) -> None:
    heat = np.zeros(shape, np.float32)
    row, column = shape[0] - 1, shape[1] // 3
    heat[row, column] = 7.5
    stored = stored_heat(heat)
    assert max(stored.width, stored.height) <= 32
    assert stored.maximum == 7.5
    cells = np.frombuffer(stored.values, np.uint8).reshape(stored.height, stored.width)
    assert cells.max() == 255
    peak = np.unravel_index(cells.argmax(), cells.shape)
    assert peak == (row // -(-shape[0] // 32), column // -(-shape[1] // 32))


@pytest.mark.parametrize("heat", [np.zeros((4, 4), np.float32), np.full((4, 4), np.nan, np.float32)])
def test_no_heat_is_stored_as_none(heat: np.ndarray) -> None:
    stored = stored_heat(heat)
    assert (stored.values, stored.maximum) == (bytes(16), 0.0)
