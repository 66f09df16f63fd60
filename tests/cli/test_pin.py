"""`inspectd pin` and `inspectd retention`: what a person keeps for good, and what would go."""

import json
import sqlite3
from pathlib import Path

import pytest
from support.ledger import CONFIG, Ledger, fill


@pytest.fixture
def site(tmp_path: Path) -> Ledger:
    return fill(tmp_path)


def events(site: Ledger) -> list[tuple[str, str]]:
    with sqlite3.connect(site.root / "inspectd.db") as connection:
        return connection.execute("SELECT kind, detail FROM events ORDER BY id").fetchall()


def test_a_pinned_image_is_told_everywhere_and_unpinned_again(site: Ledger) -> None:
    image = site.ids["4711_left.png"]
    named = f"image {image} (4711_left.png in watch line-1)"
    code, out, _ = site.run("pin", "4711_left.png", "--note", "complaint of Monday")
    assert (code, out) == (0, f"{named} is pinned.\n")
    assert site.run("pin", str(image))[1] == f"{named} is already pinned.\n"
    assert "  pinned      yes: retention never removes it" in site.run("show", str(image))[1].splitlines()
    assert json.loads(site.run("show", str(image), "--json")[1])[0]["pinned"] is True
    assert site.run("pin", str(image), "--unpin")[1] == f"{named} is no longer pinned.\n"
    assert json.loads(site.run("show", str(image), "--json")[1])[0]["pinned"] is False
    assert events(site) == [("pin", f"{named}: complaint of Monday"), ("unpin", named)]


def test_a_part_is_pinned_with_all_its_images(site: Ledger) -> None:
    assert len(site.run("pin", "4711")[1].splitlines()) == 2


def test_what_is_not_known_cannot_be_pinned(site: Ledger) -> None:
    code, out, err = site.run("pin", "4713")
    assert (code, out) == (1, "")
    assert err.startswith("inspectd: Nothing is known of '4713'")


def test_the_preview_says_what_would_go_and_what_never_does(site: Ledger) -> None:
    site.run("pin", "4711")
    assert "Nothing is ever removed: " in site.run("retention")[1]
    site.config.write_text(CONFIG + "retention: {overlays: {days: 1}, sources: {free: 10%}}\n")
    overlay = site.root / f"output/line-2/2026-11-23/moved-{site.ids['moved.png']}-aaaaaaaa.jpg"
    overlay.parent.mkdir(parents=True)
    overlay.write_bytes(bytes(5000))
    with sqlite3.connect(site.root / "inspectd.db") as connection:
        connection.execute("UPDATE inspections SET inspected_at = '2020-01-01T00:00:00.000Z'")
    code, out, _ = site.run("retention")
    assert (code, out.splitlines()[0].split()[:3]) == (0, ["rule", "days", "free"])
    assert "Never removed, whatever its age: 2 pinned, 0 reviewed, 1 review, 1 failed." in out
    found = json.loads(site.run("retention", "--json")[1])
    assert [(rule["name"], rule["by_age"]) for rule in found["rules"]] == [("sources", 0), ("overlays", 1)]
    assert found["protected"] == {"pinned": 2, "reviewed": 0, "review": 1, "failed": 1}
    assert overlay.exists()
