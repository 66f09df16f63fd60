"""Reads YAML so that every value can be found again in the file. It does not know what the values mean.

PyYAML's safe constructor makes the values. The node graph behind them is kept, and lines are looked up in it only for a
mistake.
"""

from pathlib import Path
from typing import Any

import yaml

from inspectd.errors import ConfigError

Key = tuple[int | str, ...]


class Document:
    """One YAML file: its plain data, and the line and the spelling of every key and value."""

    def __init__(self, path: Path, text: str) -> None:
        """Parses ``text``.

        Raises:
            ConfigError: one sentence, with file and line, about the first part that is not YAML.
        """
        self.path = path
        try:
            loader = yaml.SafeLoader(text)
            self._root = loader.get_single_node()
            # Before construction, which merges `<<` into the nodes.
            self.duplicates = [] if self._root is None else _duplicates(self._root)
            self.data: Any = None if self._root is None else loader.construct_document(self._root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line if mark else 0
            raise ConfigError(f"{self.at(line + 1)}: {_yaml_sentence(error, text.splitlines()[line:])}") from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise ConfigError(f"{self.at(line)}: a control character (#x{error.character:02x}) stands here.") from None
        except (ValueError, RecursionError) as error:  # a date such as 2026-13-45; brackets a thousand deep
            raise ConfigError(f"{path}: this is not YAML: {error}.") from None

    @classmethod
    def read(cls, path: Path) -> "Document":
        """Reads a file; ConfigError with one sentence if that is not possible."""
        try:
            return cls(path, path.read_bytes().decode("utf-8-sig"))
        except FileNotFoundError:
            raise ConfigError(f"{path} does not exist; `inspectd init DIR` creates a working one.") from None
        except IsADirectoryError:
            raise ConfigError(f"{path} is a folder; name the file, such as {path / 'config.yaml'}.") from None
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise ConfigError(f"{path}, line {line}: the file must be UTF-8 text; save it as such.") from None

    def at(self, line: int) -> str:
        """A line of this file, as messages name it."""
        return f"{self.path}, line {line}"

    def line(self, key: Key) -> int:
        """The line (from 1) of the key, or of the deepest part of it that is in the file."""
        line, node = 1, self._root
        for step in key:
            entry = _child(node, step)
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        return line

    def spelling(self, key: Key) -> str | None:
        """A plain value as the file spells it; None for lists, sections and missing keys."""
        node = self._value(key)
        return str(node.value) if isinstance(node, yaml.ScalarNode) else None

    def span(self, key: Key) -> tuple[int, int] | None:
        """Where a value begins and ends in the text, in characters; None if its key is not in the file."""
        node = self._value(key)
        return None if node is None else (node.start_mark.index, node.end_mark.index)

    def _value(self, key: Key) -> yaml.Node | None:
        node = self._root
        for step in key:
            entry = _child(node, step)
            if entry is None:
                return None
            node = entry[1]
        return node


def _child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    """The nodes of a key (or list item) and of its value."""
    if isinstance(node, yaml.MappingNode):
        # The last one wins, as in the data: a merged key comes before the key that overrides it.
        return next(((name, value) for name, value in reversed(node.value) if name.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _duplicates(root: yaml.Node) -> list[tuple[int, str]]:
    """Line and sentence for every key that is repeated in its section."""
    mistakes: list[tuple[int, str]] = []
    seen: set[int] = set()  # an alias leads to the same node again
    todo = [root]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            todo += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for name, value in node.value:
                todo.append(value)
                if isinstance(name, yaml.ScalarNode):
                    line = name.start_mark.line + 1
                    if name.value in lines:
                        mistakes.append(
                            (line, f"{name.value} stands here again; it was given in line {lines[name.value]}")
                        )
                    lines.setdefault(name.value, line)
    return mistakes


def _yaml_sentence(error: yaml.MarkedYAMLError, lines: list[str]) -> str:
    """What is wrong, and the remedy if the mistake is a known one."""
    problem = error.problem or error.context or "it cannot be parsed"
    mark = error.problem_mark
    here = lines[0][mark.column :] if mark and lines else ""
    if here.startswith("\t") or (lines and lines[0].lstrip(" ").startswith("\t")):
        return "this is not YAML: a tab cannot indent; use spaces."
    if "unknown escape character" in problem:
        return "this is not YAML: in double quotes a backslash begins an escape; put the value in single quotes."
    if "alias" in f"{error.context} {problem}":
        return "this is not YAML: a value that begins with * must be in quotes, such as '*.png'."
    if "could not determine a constructor" in problem:
        return f"this is not plain YAML: {problem}; a value that begins with ! must be in quotes."
    if "expected a single document" in (error.context or ""):
        return "a second document begins here (---); the file must hold one."
    return f"this is not YAML: {error.context + ', ' if error.context else ''}{problem}."
