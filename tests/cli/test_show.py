"""`inspectd show`: did we inspect part 4711, and why was it rejected?"""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from support.ledger import EVIL, Ledger

from inspectd.cli.output import local_time
from inspectd.paths import to_text


def told(ledger: Ledger, what: str) -> list[str]:
    """The lines that are printed of something that is known."""
    code, out, err = ledger.run("show", what)
    assert (code, err) == (0, "")
    return out.splitlines()


def at(ledger: Ledger, path: str) -> str:
    with sqlite3.connect(ledger.root / "inspectd.db") as connection:
        query = "SELECT finished_at FROM images WHERE id = ?"
        return local_time(connection.execute(query, [ledger.ids[path]]).fetchone()[0])


def test_a_part_is_answered_with_all_its_images_and_why_one_was_rejected(ledger: Ledger) -> None:
    left, right = ledger.ids["4711_left.png"], ledger.ids["4711_right.png"]
    lines = told(ledger, "4711")
    assert lines[0] == "2 images are known as 4711: 1 defect, 1 ok; the newest first:"
    assert (
        f"Part 4711 (image {left}, 4711_left.png in watch line-1) was inspected on {at(ledger, '4711_left.png')} and "
        "rejected for crack with score 0.983 by demo@aaaaaaaa, seen in 40 × 32 pixels at x 120, y 88 (peak 0.950)."
    ) in lines
    assert lines[2].startswith(f"Part 4711 (image {right}, 4711_right.png in watch line-1) was inspected on ")
    assert lines[2].endswith(" and passed as good with score 0.012 by demo@aaaaaaaa.")


def test_the_details_of_a_defect(ledger: Ledger) -> None:
    image = ledger.ids["4711_left.png"]
    lines = told(ledger, "4711_left.png")
    assert "  verdict     defect" in lines
    assert "  fields      station 7" in lines
    assert "  logits      good -4.250, crack 4.250" in lines
    assert "  thresholds  defect from 0.500, review from -0.500" in lines
    assert f"  overlay     {ledger.root}/output/line-1/2026-11-23/4711_left-{image}-aaaaaaaa.jpg" in lines
    assert f"  source      {ledger.root}/in1/4711_left.png" in lines
    assert "  timings     decode 1.500 ms, infer 31.000 ms" in lines
    assert f"  model       demo@aaaaaaaa version 3 (bundle {'a' * 64})" in lines


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("bad.png", "and so was not passed: truncated: the file ends before its image does."),
        ("slow.png", "has been seen but not inspected yet: it is settling."),
        (
            "4712.png",
            "set aside for a person to review with score 0.500 by demo@aaaaaaaa: may be incomplete: it ends in",
        ),
    ],
)
def test_other_outcomes(ledger: Ledger, name: str, sentence: str) -> None:
    assert sentence in told(ledger, name)[0]


def test_an_image_is_found_by_every_name_it_has(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    image = ledger.ids["sub/4712.png"]
    overlay = ledger.root / f"output/line-1/2026-11-23/4712-{image}-aaaaaaaa.jpg"
    (ledger.root / "link").symlink_to("in1")
    monkeypatch.chdir(ledger.root / "in1")
    names = (str(image), "sub/4712.png", "./sub/../sub/4712.png", "4712.png", str(ledger.root / "in1/sub/4712.png"))
    for name in (*names, str(ledger.root / "link/sub/4712.png"), str(overlay), str(overlay.with_suffix(".json"))):
        assert told(ledger, name)[0].startswith(f"Image {image} (sub/4712.png in watch line-1)")


def test_a_moved_file_is_found_where_it_is_now(ledger: Ledger) -> None:
    lines = told(ledger, str(ledger.root / "archive" / "moved.png"))
    assert lines[0].startswith(f"Part 2 (image {ledger.ids['moved.png']}, moved.png in watch line-2)")
    assert f"  source      moved to {ledger.root}/archive/moved.png" in lines


def test_a_number_that_is_an_id_and_a_part_is_answered_as_both(ledger: Ledger) -> None:
    lines = told(ledger, "2")
    assert lines[0].startswith("2 images are known as 2: ")


def test_a_hostile_name_stays_on_its_line(ledger: Ledger) -> None:
    for name in (EVIL, str(ledger.root / "in2" / EVIL), to_text(EVIL)):
        lines = told(ledger, name)
        assert "\x1b" not in "".join(lines)
        assert lines[0].startswith(f"Image {ledger.ids[to_text(EVIL)]} (evil\\n\\x1b[31m[red]%E9.png in watch line-2)")


def test_what_became_of_the_file(ledger: Ledger) -> None:
    file = ledger.root / "in1" / "4711_right.png"
    kept = ledger.root / "kept"
    shutil.copy2(file, kept)
    os.utime(file, ns=(1, 1))
    assert f"  source      {file}, and written or touched since" in told(ledger, "4711_right.png")
    file.unlink()
    assert f"  source      {file}, and no longer there" in told(ledger, "4711_right.png")


def test_json_holds_the_answer_and_everything_else(ledger: Ledger) -> None:
    code, out, _ = ledger.run("show", "4711_left.png", "--json")
    assert code == 0
    [image] = json.loads(out)
    assert image["answer"].startswith("Part 4711 (image ")
    assert (image["verdict"], image["state"], image["fields"]) == ("defect", "done", {"station": "7"})
    assert image["inspections"][0]["regions"][0]["peak"] == 0.95
    assert Path(image["overlay"]).is_relative_to(ledger.root / "output")


def test_what_is_not_known_is_a_sentence_and_exit_1(ledger: Ledger) -> None:
    code, out, err = ledger.run("show", "4713")
    assert (code, out) == (1, "")
    assert err == (
        f"inspectd: Nothing is known of '4713': no image has this id, part or name in {ledger.root}/inspectd.db.\n"
    )
