"""From figures to settings, and from figures to ratios."""

import json
from typing import Any

import pytest

from inspectd.bench.proposal import propose
from inspectd.bench.report import (
    ARTICLE,
    END_TO_END,
    FORWARD,
    FORWARD_BESIDE,
    GRADCAM,
    HOST,
    MEANING,
    READY,
    BenchReport,
    compare,
    unit,
)
from inspectd.bench.rounds import Measurement, Numbers

NUMBERS: Numbers = {
    Measurement(FORWARD, "float32", 16): (10.0, 20.0, 12.0),
    Measurement(GRADCAM, "float32", 16): (9.0, 18.0, 6.0),
    Measurement(GRADCAM, "bfloat16", 4): (10.0, 20.0, 30.0),
    Measurement(GRADCAM, "bfloat16", 16): (19.8, 39.8, 59.6),
    Measurement(GRADCAM, "bfloat16", 64): (20.0, 40.0, 60.0),
    Measurement(ARTICLE, "float32", 1): (1.0, 2.0, 3.0),
    Measurement(HOST, batch=16, threads=1): (100.0, 50.0, 100.0),
    Measurement(HOST, batch=16, threads=2): (199.0, 99.0, 199.0),
    Measurement(HOST, batch=16, threads=4): (200.0, 100.0, 200.0),
    Measurement(FORWARD_BESIDE, "bfloat16", 16): (30.0, 40.0),
    Measurement(END_TO_END, "bfloat16", 16, 2): (27.0, 38.0),
    Measurement(READY, "bfloat16", 16, 2): (8.0, 9.0),
}


def test_the_least_that_is_as_good_as_the_best() -> None:
    proposal = propose(NUMBERS, proven=True)
    assert proposal.settings == {"batch": 16, "threads": 2, "precision": "bfloat16"}
    assert proposal.remark is None


def test_a_precision_that_nothing_proves_is_not_proposed() -> None:
    proposal = propose(NUMBERS, proven=False)
    assert proposal.settings["precision"] == "auto"
    assert "golden images" in str(proposal.remark)


def test_what_was_not_measured_is_not_proposed() -> None:
    assert propose({}, proven=True).settings == {}


def test_one_size_of_batch_alone_is_no_choice() -> None:
    settings = propose(
        {Measurement(GRADCAM, "float32", 1): (5.0,), Measurement(GRADCAM, "bfloat16", 1): (9.0,)}, proven=True
    ).settings
    assert settings == {"precision": "bfloat16"}


def test_lines_are_compared_within_their_round_and_settings() -> None:
    found = {(ratio.name, ratio.precision, ratio.batch): ratio.value for ratio in compare(NUMBERS)}
    assert found == pytest.approx(
        {
            ("forward + Grad-CAM / forward", "float32", 16): 0.9,
            ("forward + Grad-CAM / the article's way", "float32", 16): 9.0,
            ("forward + Grad-CAM / the article's way", "bfloat16", 4): 10.0,
            ("forward + Grad-CAM / the article's way", "bfloat16", 16): 59.6 / 3,
            ("forward + Grad-CAM / the article's way", "bfloat16", 64): 20.0,
            ("end to end / forward, beside end to end", "bfloat16", 16): (0.9 + 0.95) / 2,
        }
    )


def test_json_has_every_line_with_its_unit_and_its_rounds() -> None:
    report = BenchReport({}, {}, {}, NUMBERS, propose(NUMBERS, proven=True), ("bfloat16: none.",), 12.34)
    document: dict[str, Any] = json.loads(json.dumps(report.as_dict()))
    lines = {(line["name"], line["precision"], line["batch"], line["threads"]): line for line in document["lines"]}
    assert len(lines) == len(NUMBERS)
    ready = lines[READY, "bfloat16", 16, 2]
    assert (ready["unit"], ready["median"], ready["rounds"]) == ("s", 8.5, [8.0, 9.0])
    assert len(document["ratios"]) == len(compare(NUMBERS))
    assert document["proposal"]["batch"] == 16
    assert document["left_out"] == ["bfloat16: none."]


def test_every_line_has_its_meaning() -> None:
    assert all(line.name in MEANING and unit(line) for line in NUMBERS)
