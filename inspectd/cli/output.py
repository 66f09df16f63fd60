"""What every command prints through: tables for people, JSON and CSV for programs.

File names come from anywhere. For people, characters that are not printable (newlines, terminal escapes, text direction
marks) are shown as escapes and nothing is taken for markup; JSON keeps them exactly, in its own escapes.
"""

import csv
import errno
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

_FORMULA = ("=", "+", "-", "@")
_STYLES = {"ok": "green", "defect": "bold red", "review": "yellow", "failed": "magenta", "pending": "dim"}


def printable(text: str) -> str:
    """``text`` with every character that is not printable as an escape such as ``\\n`` or ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def local_time(utc: str | None) -> str:
    """A time of the ledger, UTC, as local time for people; empty for None."""
    return datetime.fromisoformat(utc).astimezone().strftime("%Y-%m-%d %H:%M:%S") if utc else ""


def program() -> str:
    """How a user calls inspectd here: by name if it is on the PATH, else by its path."""
    beside = Path(sys.executable).with_name("inspectd")
    if shutil.which("inspectd") or not beside.exists():
        return "inspectd"
    here = Path.cwd()
    return shlex.quote(str(beside.relative_to(here) if beside.is_relative_to(here) else beside))


def say(text: str) -> None:
    """Print one line for people."""
    print(printable(text))  # noqa: T201


def write_json(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print one JSON array, an object a line; rows may be many, they are not collected."""
    before = "[\n"
    for row in rows:
        sys.stdout.write(f"{before}{json.dumps(row)}")
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def write_json_lines(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print one JSON object a line, for rows that have no end."""
    for row in rows:
        print(json.dumps(row))  # noqa: T201


def write_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print comma-separated values, RFC 4180 with plain newlines, one line a row.

    A text that a spreadsheet would take for a formula (a file named ``=1+1.png``) gets a ``'`` before it.
    """
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Sequence[str] = (),
    nothing: str = "No image matches.",
) -> None:
    """Print a table as wide as its content, or as the terminal, folding what is too long.

    Args:
        right: columns that are aligned to the right.
        nothing: what is said on standard error where there is no row.
    """
    body = [[printable(value) for value in row] for row in rows]
    if not body:
        print(nothing, file=sys.stderr)  # noqa: T201
    elif not _write_lines(columns, body, right):
        _write_folded(columns, body, right)


def _write_lines(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> bool:
    """Print a table with a line for each row; False, and nothing, where the terminal is too narrow for that.

    A year of hours has thousands of rows, for each cell of which a table that can fold takes rich a tenth of a
    millisecond.
    """
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    is_terminal = sys.stdout.isatty()
    if is_terminal and sum(widths) + 2 * len(widths) > console().width:
        return False
    lines, styles, length = [], [], 0
    for index, row in enumerate((columns, *rows)):
        cells = []
        for column, value, width in zip(columns, row, widths, strict=True):
            gap = " " * (width - cell_len(value))
            cells.append(f"{gap}{value}" if column in right else f"{value}{gap}")
            if style := _STYLES.get(value, "") if index else "bold":
                styles.append((style, length, length + len(cells[-1])))
            length += len(cells[-1]) + 2
        lines.append("  ".join(cells))
        length -= 1  # between two lines there is one character, a newline, and between two cells there are two
    if not is_terminal:
        print("\n".join(lines))  # noqa: T201
        return True
    from rich.text import Text

    text = Text("\n".join(lines))
    for style, start, end in styles:
        text.stylize(style, start, end)
    console().print(text, soft_wrap=True)
    return True


def _write_folded(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    """Print a table whose long cells go on in the next line."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in right else "left", no_wrap=False)
    for row in rows:
        table.add_row(*(styled(value) for value in row))
    console().print(table)


def styled(text: str) -> Any:
    """Text for a table: never markup, printable, and coloured where it is a verdict."""
    from rich.text import Text

    return Text(printable(text), style=_STYLES.get(text, ""))


def console() -> Any:
    """A console on standard output; nothing is folded when it is not a terminal."""
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # `until_reader_leaves` answers

    return _Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)


@contextmanager
def until_reader_leaves() -> Iterator[None]:
    """A reader that has seen enough (`| head`) ends the program quietly, as done."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
        raise typer.Exit(0) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # `> FILE` on a full disk
            _forget_output()
        raise


def _forget_output() -> None:
    """What is still buffered would fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stderr_is_the_journal() -> bool:
    """Whether the journal reads standard error; JOURNAL_STREAM alone may be inherited, see systemd.exec(5)."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
