"""A diagnosis of the doctor, and the site that it looks at."""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from inspectd.config import Config, Watch


class Level(StrEnum):
    """How serious a diagnosis is: a `FAULT` keeps the site from working as configured; a `WARN` may do so one day."""

    OK = "ok"
    WARN = "WARN"
    FAULT = "FAULT"


@dataclass(frozen=True)
class Diagnosis:
    """One line: what was checked, what was found, and what to do (empty if all is well)."""

    state: Level
    check: str
    subject: str
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Site:
    """A configuration, its file, and the process id of the daemon that serves its ledger now, if there is one."""

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
    """The folder below which `after: move` puts files: `move_to` up to its first placeholder."""
    return watch.archive_of(watch=watch.name) if watch.after == "move" else None


def standing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists and may be seen."""
    return next(part for part in (path, *path.parents) if exists(part))


def exists(path: Path) -> bool:
    """Whether a path exists and may be seen; `Path.exists` raises if a folder above may not be entered."""
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: Path) -> bool:
    """Whether a folder exists and may be seen."""
    return os.path.isdir(path)  # noqa: PTH112
