"""Turns pydantic's errors into sentences for the person who wrote the file: key, value, and what is allowed."""

from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from inspectd.config.document import Document, Key
from inspectd.config.retention import FileRule, RetentionSettings, RowRule
from inspectd.config.schema import Config, LimitSettings, MetricSettings, OverlaySettings, Watch, WorkerSettings
from inspectd.config.values import IN_WORDS
from inspectd.mistakes import expected, nearest

SECTIONS: dict[str, type[BaseModel]] = {
    "watch": Watch,
    "worker": WorkerSettings,
    "overlay": OverlaySettings,
    "limits": LimitSettings,
    "metrics": MetricSettings,
    "retention": RetentionSettings,
    "retention.overlays": FileRule,
    "retention.sources": FileRule,
    "retention.rows": RowRule,
}


def key_text(key: Key) -> str:
    """The key path as every message writes it: ``watch[0].backend``."""
    text = ""
    for step in key:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def subject(document: Document, key: Key) -> str:
    """The key path, with the name of its watch."""
    name = document.spelling((*key[:2], "name")) if key[:1] == ("watch",) and len(key) > 2 else None
    return key_text(key) + (f" (watch {name!r})" if name and key[2:] != ("name",) else "")


def sentence(document: Document, error: ErrorDetails) -> tuple[int, str]:
    """Line and sentence, without a full stop, for one of pydantic's errors."""
    key: Key = tuple(error["loc"])
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("extra_forbidden", "invalid_key"):
        key = (*key[:-1], str(key[-1]))
        return document.line(key), f"{subject(document, key)} is not a known key; {_nearest(key)}"
    if kind == "missing":
        return document.line(key[:-1]), f"{subject(document, key)} is missing: {_description(key)}"
    if kind == "value_error":
        what = str(context["error"])
    elif kind in ("string_type", "path_type", "pattern_type"):
        what = f"{_is(document, key, error['input'])}; it must be text{_quotes(error['input'])}"
    elif kind == "string_pattern_mismatch":
        what = f"{_is(document, key, error['input'])}; it must be {IN_WORDS[context['pattern']]}"
    elif kind in ("too_short", "string_too_short"):
        what = "must not be empty"
    else:
        what = f"{_is(document, key, error['input'])}; it must be {expected(error)}"
    return document.line(key), f"{subject(document, key)} {what}"


def _is(document: Document, key: Key, value: Any) -> str:
    if value is None:
        return "is empty"
    if isinstance(value, list | dict):
        return f"is a {'list' if isinstance(value, list) else 'section'}"
    return f"is {(document.spelling(key) or str(value))[:80]!r}"


def _quotes(value: Any) -> str:
    """The remedy if YAML took a plain word for something else."""
    if value is None or isinstance(value, list | dict):
        return ""
    kind = {bool: "a yes or no", int: "a number", float: "a number"}.get(type(value), "a date")
    return f", and YAML reads this as {kind}: put it in quotes"


def _model(key: Key) -> type[BaseModel]:
    """The section of a key."""
    names = [step for step in key[:-1] if isinstance(step, str)]
    return SECTIONS[".".join(names)] if names else Config


def _description(key: Key) -> str:
    return (_model(key).model_fields[str(key[-1])].description or "").removesuffix(".")


def _nearest(key: Key) -> str:
    """Where a misplaced key belongs, or which similar key there is, or all keys."""
    if key[-1] in Config.model_fields:
        return "it belongs to the top level: check the indentation"
    for name, model in SECTIONS.items():
        if key[-1] in model.model_fields:
            return f"it belongs under {name}: check the indentation"
    return nearest(str(key[-1]), list(_model(key).model_fields))
