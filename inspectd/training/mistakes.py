"""What pydantic finds wrong in flat keys and values, as sentences: the key, what is wrong, what is allowed."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pydantic import ValidationError

_ALLOWED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "string_type": "a text",
    "tuple_type": "a list of names",
    "too_short": "a list of at least one name",
}


def mistakes(error: ValidationError, known: Sequence[str], where: str) -> Iterator[str]:
    """A sentence for each mistake in `where`, whose keys are `known`."""
    for details in error.errors(include_url=False):
        key, kind = str(details["loc"][0]) if details["loc"] else "", details["type"]
        if kind in ("unexpected_keyword_argument", "extra_forbidden"):
            close = get_close_matches(key, known, n=1)
            hint = f"perhaps {close[0]} is meant" if close else f"known are {', '.join(known)}"
            yield f"{where}: {key}: there is no such key; {hint}."
        elif kind == "value_error":
            yield f"{where}: {details['ctx']['error']}."
        else:
            what = _ALLOWED.get(kind) or details["msg"].removeprefix("Input should be ").replace("'", "")
            yield f"{where}: {key}: {details['input']!r} does not do; it must be {what}."
