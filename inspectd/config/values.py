"""The kinds of values in config.yaml, each with the check that needs this value alone: paths, globs, names, patterns.

A check raises ValueError with the rest of a sentence that begins with the key. It opens and creates nothing.
"""

import re
import string
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from inspectd.config.globs import expand, takes_no_image
from inspectd.config.retention import FREE

PLACEHOLDERS = ("watch", "verdict", "date")
SQLITE = "sqlite:///"
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
DEVICE = r"^(auto|cpu|gpu|gpu:\d+)$"
IN_WORDS = {
    NAME: "1 to 64 letters, digits, '-' or '_', beginning with a letter or a digit",
    DEVICE: "auto, cpu, gpu or gpu:N",
    FREE: "a share of the disk such as 10% or a size such as 50 GB (MB, GB or TB)",
}


def _absolute(path: Path, info: ValidationInfo) -> Path:
    """Makes a path absolute, from the folder of the file, which the loader passes as the context."""
    return path if info.context is None else info.context / path


def _path_text(value: Any) -> Any:
    """Refuses text that the file system would read as another path than intended."""
    if isinstance(value, str):
        if not value.strip() or "\0" in value:
            raise ValueError("must name a file or folder")
        if value.startswith("~"):
            raise ValueError("must be written out: '~' is not replaced by a home folder")
    return value


def _database_url(url: str, info: ValidationInfo) -> str:
    if not url.startswith(SQLITE):
        raise ValueError("must be sqlite:///FILE: SQLite is the only database so far")
    file = url.removeprefix(SQLITE)
    if not file or file.startswith(":"):
        raise ValueError("must be sqlite:///FILE, with a file that stays")
    _path_text(file)
    path = str(_absolute(Path(file), info))
    if "?" in path:  # SQLite would read the rest as options of the connection
        raise ValueError(f"must name a file whose whole path has no '?', unlike {path}")
    return f"{SQLITE}{path}"


def _archive(template: str, info: ValidationInfo) -> str:
    _path_text(template)
    allowed = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"has a single brace; double a brace that is part of a name ({error})") from None
    for _, name, form, conversion in pieces:
        if name is not None and (name not in PLACEHOLDERS or form or conversion):
            written = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise ValueError(f"knows no {{{written}}}; the placeholders are {allowed}")
    if info.context is None or Path(template).is_absolute():
        return template
    folder = str(info.context).replace("{", "{{").replace("}", "}}")
    return f"{folder}/{template}"


def _pattern(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if not pattern.groupindex:
        raise ValueError(r"names no part of the file name; it needs at least one group such as (?P<part>\d+)")
    return pattern


def _glob(glob: str) -> str:
    expand(glob)
    return glob


def _some_image(include: list[str]) -> list[str]:
    """Refuses globs if none of them can take an image, because nothing would ever be inspected."""
    reasons = [(glob, takes_no_image(glob)) for glob in include]
    if all(reason for _, reason in reasons):
        raise ValueError("takes no image: " + "; ".join(f"{glob!r} {reason}" for glob, reason in reasons))
    return include


Folder = Annotated[Path, BeforeValidator(_path_text), AfterValidator(_absolute)]
Database = Annotated[str, AfterValidator(_database_url)]
Glob = Annotated[str, Field(min_length=1), AfterValidator(_glob)]
ImageGlobs = Annotated[list[Glob], Field(min_length=1), AfterValidator(_some_image)]
Archive = Annotated[str, AfterValidator(_archive)]
Fields = Annotated[re.Pattern[str], BeforeValidator(_pattern)]
Switch = Annotated[bool, Field(strict=True)]
