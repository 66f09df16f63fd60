"""docs/architecture.md names files; each is there, so that whoever follows the page arrives."""

import re
from pathlib import Path

import inspectd

PACKAGE = Path(inspectd.__file__).parent
CHECKOUT = Path(__file__).parents[1]
TEXT = (CHECKOUT / "docs" / "architecture.md").read_text()


def test_every_file_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`([\w./]+\.(?:py|md)|\w+/(?:\w+/)*)`", TEXT))
    assert len(named) > 60
    places = (CHECKOUT, PACKAGE, *(folder for folder in PACKAGE.rglob("*") if folder.is_dir()))
    assert sorted(name for name in named if not any((place / name).exists() for place in places)) == []


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([\w./]+?)(?:#[\w-]+)?\)", TEXT)
    assert links
    assert [link for link in links if not (CHECKOUT / "docs" / link).exists()] == []


def test_a_file_is_followed_in_twelve_stops_at_most() -> None:
    stops = re.findall(r"^\| (\d+) \|", TEXT.partition("\n## Follow one file\n")[2].partition("\n## ")[0], re.MULTILINE)
    assert stops == [str(number) for number in range(1, len(stops) + 1)]
    assert 8 <= len(stops) <= 12
