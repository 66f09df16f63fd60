"""docs/reliability.md names tests as its proof: each of them must be there, and marked as the page says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`( †)?", (ROOT / "docs" / "reliability.md").read_text())


@pytest.mark.parametrize(("file", "test", "mark"), NAMED)
def test_every_proof_that_is_named_is_there(file: str, test: str, mark: str) -> None:
    module = ast.parse((ROOT / file).read_text())
    [function] = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == test]
    marks = [ast.unparse(each) for each in function.decorator_list]
    apart = file.startswith("tests/systemd/") or any("mark.long" in each for each in marks)
    assert apart == bool(mark)


def test_the_page_names_some() -> None:
    assert len(NAMED) > 50
