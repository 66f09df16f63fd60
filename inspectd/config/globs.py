"""Globs of `include` and `ignore`: what they match, and which of them are probably wrong.

A glob is matched against a file's name and against its path inside the watch (`/` between folders, no `/` at the
start). Upper and lower case are the same, and so are the ways in which Unicode writes one letter (a Mac writes an
umlaut as two characters). A ``*`` stands for anything, also across folders; ``**/`` for any folders or none; ``{a,b}``
and ``{1..3}`` for one of several; ``?`` and ``[…]`` as everywhere. A backslash separates folders, as on Windows. A
glob also matches what Python's `fnmatch` matches with it as it is written, with braces and backslashes taken
literally.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from fnmatch import translate

import bracex

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".webp")
IMAGE_PATTERNS = [f"*{end}" for end in IMAGE_ENDINGS]

MOST = 1000  # globs that one glob with braces may stand for

_WILDCARD = re.compile(r"[*?\[]")
_ANY_FOLDERS = re.compile(r"(?<![^/{,])\*\*/")  # a whole component of a path
_BETWEEN = re.compile(r"[;,|\s]+")
_REPEATED = re.compile(r"/{2,}")
_ONE_ENDING = re.compile(r"(\*\*?/)*\*?\.\w{1,5}")
_ENDING = "|".join(end[1:] for end in IMAGE_ENDINGS)
_OTHER_NOTATION = re.compile(
    r"^\^\.|^\(\?|\$$"  # regular expressions
    r"|\.[(\[]\w{2,5}([;|, ]+\w{2,5})+[)\]]$|\.\{\w{2,5}([;| ]+\w{2,5})*\}$"  # endings in brackets, without commas
    rf"|\.@?[(\[]({_ENDING})[)\]|]|\.\s+({_ENDING})$"
    rf"|\.({_ENDING})([;,|&+:#)]|\s+(?![\s(-]))",  # lists; but "x.jpg (1).jpg" and "x.jpg - Copy.jpg" are names
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"(^|/)\.")
_OUTSIDE = re.compile(r"[/\\~]|[A-Za-z]:[/\\]|\.\.[/\\]")


def matcher(globs: Iterable[str]) -> Callable[[str, str], bool]:
    """Returns a function of a file's name and path that says whether any of the globs matches one of the two."""
    single = dict.fromkeys(text for glob in globs for each in expand(glob) for text in (each, _composed(each)))
    pattern = re.compile("|".join(map(translate, single)) or r"(?!)", re.IGNORECASE)

    def matches(name: str, path: str) -> bool:
        if pattern.match(name) or pattern.match(path):
            return True
        if name.isascii() and path.isascii():  # nearly always, and a scan calls this for every file
            return False
        return bool(pattern.match(_composed(name)) or pattern.match(_composed(path)))

    return matches


def _composed(text: str) -> str:
    """The text with every letter in its shortest Unicode form."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def expand(glob: str) -> list[str]:
    """The glob as it is written, and the globs without braces that it stands for.

    Raises:
        ValueError: There are more than `MOST`, or braces are nested too deep.
    """
    written = _REPEATED.sub("/", glob.replace("\\", "/")).removeprefix("./").rstrip("/")
    try:
        return [glob, *bracex.expand(_ANY_FOLDERS.sub("{**/,}", written), limit=MOST)]
    except (bracex.ExpansionLimitException, RecursionError):
        raise ValueError(f"stands for more than {MOST} globs: write fewer braces") from None


def mistaken(glob: str) -> str | None:
    """Why a glob probably does not match the wanted files, and what to write instead; None if it looks right."""
    pieces = [piece for piece in _BETWEEN.split(glob) if piece]
    if len(pieces) > 1 and all(_ONE_ENDING.fullmatch(piece) or _is_ending(piece) for piece in pieces):
        return f"is a list in one text: write [{_by_ending(pieces)}]"
    singles = expand(glob)[1:]
    if any(text != text.strip(" \t\r\n\"'") for text in (glob, *singles)):
        return "begins or ends with a space or a quote: leave it out"
    if any(map(_OTHER_NOTATION.search, singles)):
        return "is not a glob of this kind: several endings are '*.{png,jpg}'"
    if _OUTSIDE.match(glob):
        return (
            "names a path outside: a glob is matched against the path inside the watch, without a '/' at its beginning"
        )
    return None


def odd(glob: str) -> str | None:
    """Why a glob may match other files than the wanted ones; None if it looks right."""
    if glob.startswith("!"):
        return "begins with a '!', which has no special meaning: name files to leave alone in `ignore`"
    if "[^" in glob:
        return "has a '^' in its brackets, which has no special meaning: write '[!…]' for all but some characters"
    return None


def takes_no_image(glob: str) -> str | None:
    """Why a glob of `include` probably takes no image, and what to write instead; None if it may take one."""
    if reason := mistaken(glob):
        return reason
    singles = expand(glob)[1:]
    if singles and all(_is_ending(single) for single in singles):
        return f"is an ending alone: write {_by_ending(singles)}"
    if all(map(_HIDDEN.search, singles)):
        return "names files that begin with a dot, and those are never taken"
    if not any(_WILDCARD.search(single) or single.lower().endswith(IMAGE_ENDINGS) for single in singles):
        return f"has no wildcard and no image's ending: write '*{glob}*', or '{glob.rstrip('/')}/*' for a folder"
    return None


def _is_ending(text: str) -> bool:
    return f".{text.lower().removeprefix('.')}" in IMAGE_ENDINGS


def _by_ending(pieces: Iterable[str]) -> str:
    """``'*.png', '*.jpg'``"""
    return ", ".join(f"'*.{piece.rpartition('.')[2]}'" for piece in pieces)
