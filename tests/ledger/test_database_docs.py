"""docs/database.md is true: it names every table and column and no other, and its SQL runs."""

import re
import sqlite3
from pathlib import Path

import pytest

from inspectd.ledger.database import upgrade

PAGE = (Path(__file__).parents[2] / "docs" / "database.md").read_text()
EXAMPLES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


def columns_named(heading: str) -> list[str]:
    """What the first column of the table under a heading names."""
    section = PAGE.split(heading, 1)[1].split("\n#", 1)[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    file = tmp_path_factory.mktemp("docs") / "inspectd.db"
    upgrade(f"sqlite:///{file}")
    return sqlite3.connect(f"file:{file}?mode=ro", uri=True)


def test_every_table_and_column_is_there_and_none_is_invented(database: sqlite3.Connection) -> None:
    found = dict(
        database.execute(
            "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
    )
    del found["alembic_version"]
    headings = {name: f"## The view `{name}`" if kind == "view" else f"### `{name}`" for name, kind in found.items()}
    assert set(re.findall(r"^### `(\w+)`", PAGE, re.MULTILINE)) == {n for n, kind in found.items() if kind == "table"}
    for name, heading in headings.items():
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
        assert columns_named(f"{heading}\n") == columns, name


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(database: sqlite3.Connection, example: str) -> None:
    database.execute(example).fetchall()


def test_there_are_examples_and_the_shells_command_is_one() -> None:
    assert len(EXAMPLES) > 5
    assert "\"select * from verdicts where verdict='defect'\"" in PAGE
