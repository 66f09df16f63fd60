"""docs/cli.md against the program: every command, option and argument, and none that is not there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inspectd.cli.main import COMMANDS, load_command

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that help shows, by the words that call it."""
    for name, entry in COMMANDS.items():
        if entry.panel:
            command = load_command(name)
            for below, each in getattr(command, "commands", {"": command}).items():
                yield f"inspectd {name} {below}".strip(), each


def section(words: str) -> str:
    """What is said of one command, from its heading to the next."""
    return re.split(r"^## ", DOCS.read_text().partition(f"\n## `{words}`\n")[2], flags=re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("words", "command"), list(commands()), ids=lambda value: str(value) if isinstance(value, str) else ""
)
def test_every_option_is_documented_and_no_other(words: str, command: Any) -> None:
    text = section(words)
    assert text, f"docs/cli.md has no section `{words}`"
    # The first cell of each row: `-c`, `--config FILE` or `DIR`; a bar within it is written \\|.
    cells = re.findall(r"^\| (`(?:\\\||[^|])+`) \|", text, re.MULTILINE)
    documented = {word for cell in cells for word in re.findall(r"`(-{1,2}[a-z-]+)", cell)}
    options = {
        option for param in command.params for option in (*param.opts, *param.secondary_opts) if option[0] == "-"
    }
    assert documented == options - {"--help"}
    arguments = {param.metavar or param.name.upper() for param in command.params if param.opts[0][0] != "-"}
    assert {cell.strip("`").replace("\\|", "|") for cell in cells if cell[1] != "-"} == arguments


def test_no_section_is_about_a_command_that_is_not_there() -> None:
    headings = set(re.findall(r"^## `(inspectd .+)`$", DOCS.read_text(), re.MULTILINE))
    assert headings == {words for words, _ in commands()}
