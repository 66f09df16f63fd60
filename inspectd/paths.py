"""File names as text (UTF-8 as it is, any other byte as a reversible percent-escape), and the files of a ledger.

A POSIX name is bytes; a database column and a JSON file hold text. Names that are valid UTF-8 (nearly all) are kept as
they are, so that people can search for them. A byte that is not UTF-8 becomes ``%XX``, and a ``%`` that already looks
like such an escape becomes ``%25`` so that nothing is ambiguous.
"""

import os
import re
from pathlib import Path

from inspectd.errors import LedgerError

_LOOKS_ESCAPED = re.compile(rb"%(?=[0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def to_text(name: str | bytes) -> str:
    """The text under which a file name is stored (``str`` names may hold surrogate escapes, as from `os.scandir`)."""
    raw = _LOOKS_ESCAPED.sub(b"%25", os.fsencode(name))
    return "".join(
        f"%{ord(char) - 0xDC00:02X}" if 0xDC80 <= ord(char) <= 0xDCFF else char
        for char in raw.decode("utf-8", "surrogateescape")
    )


def from_text(text: str) -> str:
    """The file name that `to_text` stored, in the form that `os` functions take."""
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text.encode("utf-8")))


def database_file(url: str) -> Path:
    """The SQLite file of a `database:` URL: all that follows `sqlite:///`, letter by letter, `%41` and `#` too.

    Raises:
        LedgerError: the URL names no SQLite file.
    """
    file = url.removeprefix("sqlite:///")
    if file in ("", url) or file.startswith(":"):
        raise LedgerError(f"`database: {url}` must name a SQLite file, as in sqlite:///inspectd.db.")
    return Path(file)


def lock_file(database: Path) -> Path:
    """The file beside a ledger that its daemon holds a lock on for as long as it runs."""
    return database.with_name(f"{database.name}.lock")
