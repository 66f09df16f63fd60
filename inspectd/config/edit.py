"""Sets keys under `worker:` in a config.yaml as a person would: every other line and comment stays as it is.

It changes the text itself, because a YAML library that writes the data again also changes indents, alignment and line
endings of other lines. Before the file is replaced, the new text is read back and must mean exactly the wanted change.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from inspectd.config.document import Document
from inspectd.config.reading import interpret, load
from inspectd.durable import write_all
from inspectd.errors import ConfigError


def set_worker(path: Path, values: Mapping[str, int | str]) -> None:
    """Sets keys of the section `worker`; a commented-out line of a key becomes the line that sets it.

    Raises:
        ConfigError: the file has mistakes, or is written in a way that cannot be changed; the file stays as it was.
        OSError: the file cannot be replaced.
    """
    config = load(path)
    target = path.resolve()
    raw = target.read_bytes()
    text = raw.decode("utf-8-sig")
    try:
        for key, value in reversed(list(values.items())):  # each new line is inserted before the earlier ones
            text = _with(path, text, key, str(value))
        new = interpret(Document(path, text))
    except ConfigError:
        new = None
    if new != config.model_copy(update={"worker": config.worker.model_copy(update=dict(values))}):
        lines = ", ".join(f"`{key}: {value}`" for key, value in values.items())
        raise ConfigError(f"{path} is written in a way that cannot be changed by itself: set {lines} under `worker:`.")
    before = target.stat()
    write_all([(target, text.encode("utf-8-sig" if raw.startswith(b"\xef\xbb\xbf") else "utf-8"))])
    with suppress(PermissionError):  # a user who may not give files away becomes its owner
        os.chown(target, before.st_uid, before.st_gid)
    target.chmod(before.st_mode & 0o7777)


def _with(path: Path, text: str, key: str, value: str) -> str:
    """The text with one key of `worker` set."""
    document = Document(path, text)
    if span := document.span(("worker", key)):
        start, end = span
        return text[:start] + (" " if start == end else "") + value + text[end:]
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    if document.span(("worker",)) is None:
        last = "" if not lines or lines[-1].endswith(("\n", "\r")) else end_of_line
        return f"{text}{last}worker:{end_of_line}  {key}: {value}{end_of_line}"
    first = document.line(("worker",))  # counted from 1: the index of the line below it
    below = _section(lines[first:])
    indent = next((line[: -len(line.lstrip())] for line in below if not _is_remark(line)), "  ")
    setting = f"{indent}{key}: {value}{end_of_line}"
    for index, line in enumerate(below, first):
        if re.match(rf"\s*#\s*{key}:", line):
            return "".join([*lines[:index], setting, *lines[index + 1 :]])
    return "".join([*lines[:first], setting, *lines[first:]])


def _section(lines: list[str]) -> list[str]:
    """The lines up to the next key without an indent."""
    ends = (index for index, line in enumerate(lines) if not _is_remark(line) and not line[0].isspace())
    return lines[: next(ends, len(lines))]


def _is_remark(line: str) -> bool:
    """An empty line or a comment."""
    return line.strip() == "" or line.lstrip().startswith("#")
