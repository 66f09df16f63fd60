"""Turns pydantic's errors into sentences, for every document that inspectd reads: configuration, recipe, bundle."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "list_type": "a list, each entry on a line of its own after '- '",
    "tuple_type": "a list of names",
    "too_short": "a list of at least one name",
    "model_type": "a section of keys and values",
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
}


def expected(error: ErrorDetails) -> str:
    """What the value must be, to follow "it must be": ``a whole number``, ``at most 3``, ``keep or review``."""
    kind = error["type"]
    if kind in _EXPECTED:
        return _EXPECTED[kind].format(**error.get("ctx", {}))
    return error["msg"].removeprefix("Input should be ").replace("'", "")


def nearest(key: str, known: Sequence[str]) -> str:
    """The known key that an unknown one resembles, or all known keys."""
    close = get_close_matches(key, known, n=1)
    return f"perhaps {close[0]} is meant" if close else f"the known keys are {', '.join(known)}"


def mistakes(error: ValidationError, known: Sequence[str], where: str) -> Iterator[str]:
    """A sentence for each mistake in `where`, a document of flat keys and values whose keys are `known`."""
    for details in error.errors(include_url=False):
        key, kind = str(details["loc"][0]) if details["loc"] else "", details["type"]
        if kind in ("unexpected_keyword_argument", "extra_forbidden"):
            yield f"{where}: {key} is not a known key; {nearest(key, known)}."
        elif kind == "value_error":
            yield f"{where}: {details['ctx']['error']}."
        else:
            yield f"{where}: {key} is {details['input']!r}; it must be {expected(details)}."


def first_mistake(error: ValidationError) -> str:
    """The first mistake in a document that a program wrote, without a full stop: ``golden.images.0: …``."""
    details = error.errors(include_url=False)[0]
    key = ".".join(map(str, details["loc"]))
    return f"{key}: {details['msg'].removeprefix('Value error, ')}".removeprefix(": ")
