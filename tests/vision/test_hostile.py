"""Ten thousand broken files through the decoder, in a child: it neither dies nor hangs, and lets no half file pass."""

import json
import queue
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from support import hostile
from support.site import PATIENCE

MUTANTS = 10_000
HANG = 5.0  # seconds of processor time for one file
ROOM_TO_BREATHE = 100_000  # KiB above what the first file left, while every file has a few thousand pixels


def told(lines: IO[str]) -> Iterator[dict[str, Any]]:
    """What the child says; it fails the test when it falls silent with a file in hand."""
    heard: queue.Queue[str | None] = queue.Queue()

    def listen() -> None:
        for line in lines:
            heard.put(line)
        heard.put(None)

    threading.Thread(target=listen, daemon=True).start()
    last = ""
    while True:
        try:
            line = heard.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"it hangs over {last}") from None
        if line is None:
            return
        last = line
        yield json.loads(line)


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    """What came of each mutant."""
    program = [sys.executable, str(Path(hostile.__file__)), "0", str(MUTANTS)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout
        try:
            lines = list(told(child.stdout))
            assert child.wait(PATIENCE) == 0, f"the decoder died over {lines[-1]}"
        finally:
            child.kill()
    return lines[1::2]


def test_none_takes_the_decoder_along(results: list[dict[str, Any]]) -> None:
    assert [result["index"] for result in results] == list(range(MUTANTS))


def test_none_takes_long(results: list[dict[str, Any]]) -> None:
    assert [result for result in results if result["seconds"] > HANG] == []


def test_none_spends_memory(results: list[dict[str, Any]]) -> None:
    assert results[-1]["memory"] - results[0]["memory"] < ROOM_TO_BREATHE


def test_none_that_was_cut_gets_a_verdict(results: list[dict[str, Any]]) -> None:
    """Whatever length is left. With zeros in place of the rest it may pass where it shows the very same pixels."""
    assert [result for result in results if result["way"] == "cut" and not result["code"] and not result["same"]] == []
    ends = [result for result in results if result["way"] == "padded" and result["kind"] in ("PNG", "JPEG")]
    assert [result for result in ends if not result["code"] and not result["same"]] == []


def test_every_png_that_was_touched_is_refused(results: list[dict[str, Any]]) -> None:
    touched = [result for result in results if result["kind"] == "PNG" and result["way"] in ("flipped", "spliced")]
    assert [result for result in touched if result["passed"] and not result["same"]] == []


def test_all_ways_of_breaking_a_file_were_tried(results: list[dict[str, Any]]) -> None:
    tried = Counter((result["kind"], result["way"]) for result in results)
    assert len(tried) == 5 * len(hostile.WAYS)
    assert {code for result in results if (code := result["code"])} >= {"truncated", "damaged", "not an image"}
