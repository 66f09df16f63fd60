"""Reads a config.yaml: the file, its values, and what they mean together. It reports all mistakes at once."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from inspectd.config.checks import Mistake, check
from inspectd.config.document import Document
from inspectd.config.messages import sentence, subject
from inspectd.config.schema import Config, Watch
from inspectd.config.values import Database, Folder
from inspectd.errors import ConfigError
from inspectd.paths import database_file


def load(path: Path) -> Config:
    """Reads and checks a configuration; relative paths become absolute, from the folder of the file.

    If the path is a link, the folder is that of the file itself: /etc/inspectd/config.yaml may lead to a working
    folder.

    Raises:
        ConfigError: one line for each mistake, in the order of the file: where, which key, what is wrong, what is
            allowed.
    """
    return interpret(Document.read(path))


def interpret(document: Document) -> Config:
    """Checks a document and returns the configuration; raises like `load`."""
    path = document.path
    if document.data is None:
        raise ConfigError(f"{path} is empty; `inspectd init DIR` creates a working one.")
    if not isinstance(document.data, dict):
        raise ConfigError(f"{document.at(1)}: the file must hold keys and values, such as `output: output`.")
    folder = path.resolve().parent
    mistakes = list(document.duplicates)
    try:
        config = Config.model_validate(document.data, context=folder)
        found = list(check(dict(enumerate(config.watch)), config.output, config.database_file))
    except ValidationError as error:
        mistakes += [sentence(document, details) for details in error.errors(include_url=False)]
        found = _check_what_stands(document.data, folder)
    mistakes += [(document.line(key), f"{subject(document, key)} {what}") for key, what in found]
    if mistakes:
        raise ConfigError("\n".join(f"{document.at(line)}: {text}." for line, text in sorted(mistakes)))
    return config


def json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of config.yaml, with a description for every key."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def _check_what_stands(data: dict[str, Any], folder: Path) -> list[Mistake]:
    """Makes the checks of a whole configuration on the valid parts of an invalid one."""

    def standing(kind: Any, value: Any) -> Any:
        try:
            return TypeAdapter(kind).validate_python(value, context=folder)
        except ValidationError:
            return None

    items = data.get("watch")
    watches = enumerate(standing(Watch, item) for item in (items if isinstance(items, list) else []))
    database = standing(Database, data.get("database"))
    return list(
        check(
            {index: watch for index, watch in watches if watch is not None},
            standing(Folder, data.get("output")),
            None if database is None else database_file(database),
        )
    )
