"""What a check of the doctor's yields, and the site that it looks at."""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from inspectd.config import Config, Watch


class Level(StrEnum):
    """How bad it is: `FAULT` keeps the site from working as it is configured, `WARN` may do so one day."""

    OK = "ok"
    WARN = "WARN"
    FAULT = "FAULT"


@dataclass(frozen=True)
class Diagnosis:
    """One line: what was looked at, what was found there, and what to do about it (nothing where all is well)."""

    state: Level
    check: str
    subject: str
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Site:
    """A configuration, where it stands, and the process id of the daemon that serves its ledger now, if one does."""

    path: Path
    config: Config
    daemon: int | None


def ok(check: str, subject: str, found: str) -> Diagnosis:
    return Diagnosis(Level.OK, check, subject, found)


def warn(check: str, subject: str, found: str, advice: str) -> Diagnosis:
    return Diagnosis(Level.WARN, check, subject, found, advice)


def fault(check: str, subject: str, found: str, advice: str) -> Diagnosis:
    return Diagnosis(Level.FAULT, check, subject, found, advice)


def archive(watch: Watch) -> Path | None:
    """The folder below which `after: move` puts files: what of `move_to` is known before there is a verdict."""
    return watch.archive_of(watch=watch.name) if watch.after == "move" else None


def standing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there and may be seen."""
    return next(part for part in (path, *path.parents) if exists(part))


def exists(path: Path) -> bool:
    """Whether something is there and may be seen; `Path.exists` raises where a folder above may not be entered."""
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: Path) -> bool:
    """Whether a folder is there and may be seen."""
    return os.path.isdir(path)  # noqa: PTH112
