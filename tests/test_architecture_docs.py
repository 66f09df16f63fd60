"""docs/architecture.md names files; each is there, so that whoever follows the page arrives."""

import ast
import re
from collections import Counter
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


def test_every_method_that_the_page_names_is_there() -> None:
    methods = {
        f"{node.name}.{each.name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        for each in node.body
        if isinstance(each, ast.FunctionDef)
    }
    named = set(re.findall(r"`([A-Z]\w+\.\w+)`", TEXT))
    assert len(named) > 12
    assert sorted(named - methods) == []


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([\w./]+?)(?:#[\w-]+)?\)", TEXT)
    assert links
    assert [link for link in links if not (CHECKOUT / "docs" / link).exists()] == []


def test_a_file_is_followed_in_twelve_stops_at_most() -> None:
    stops = re.findall(r"^\| (\d+) \|", TEXT.partition("\n## Follow one file\n")[2].partition("\n## ")[0], re.MULTILINE)
    assert stops == [str(number) for number in range(1, len(stops) + 1)]
    assert 8 <= len(stops) <= 12


def defined_names() -> Counter[str]:
    """How often each class, function and constant name is defined at the top of a module, without private ones."""
    names: Counter[str] = Counter()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                names[node.name] += 1
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names.update(target.id for target in targets if isinstance(target, ast.Name))
    return names


def test_the_glossary_fits_on_a_page_and_names_what_the_code_names() -> None:
    glossary = TEXT.partition("\n## Words\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!---|word )([^|]+) \| ([^|]+) \| ([^|]*)\|$", glossary, re.MULTILINE)
    assert 25 <= len(rows) <= 40
    words = [word for row in rows for word in row[0].strip().split(", ")]
    assert sorted(words) == sorted(set(words))
    known = defined_names()
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row[2]) if name not in known] == []


def test_a_class_name_stands_for_one_class() -> None:
    classes: Counter[str] = Counter()
    for path in PACKAGE.rglob("*.py"):
        classes.update(
            node.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        )
    assert len(classes) > 200
    assert [name for name, count in classes.items() if count > 1] == []
