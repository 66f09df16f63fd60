"""The log of the daemon: lines on standard error, for a terminal, for the journal, or for a program that collects them.

    2026-11-23T15:28:34Z INFO  ingest: text
    {"time": "2026-11-23T15:28:34.123Z", "level": "info", "room": "ingest", "event": null, "message": "text"}

The room is the part of inspectd that speaks; `events` is the audit trail, whose lines bear the kind of their row. Under
systemd the journal keeps the time and takes the level from a prefix (sd-daemon(3)), which it removes, so that
`journalctl -p warning` works with either format.
"""

import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal

from inspectd.cli.output import printable, stderr_is_the_journal
from inspectd.clock import utc_text

Format = Literal["text", "json"]
FORMAT_VARIABLE = "INSPECTD_LOG_FORMAT"  # how a worker learns of its supervisor's format

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def _room(record: logging.LogRecord) -> str:
    return record.name.removeprefix("inspectd.").partition(".")[0]


class _Text(logging.Formatter):
    """One line a message, whatever file names stand in it; tracebacks follow on lines of their own."""

    def __init__(self, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def formatMessage(self, record: logging.LogRecord) -> str:
        event = getattr(record, "event", None)
        kind = f"{event}: " if event else ""
        line = f"{record.levelname:<5} {_room(record)}: {kind}{printable(record.message)}"
        if self._journal:
            return f"<{_PRIORITY.get(record.levelno, 6)}>{line}"
        return f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(record.created))} {line}"


class _Json(logging.Formatter):
    """One JSON object a line, with whatever belongs to it: its fields, and a traceback in one text."""

    def __init__(self, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """The object; what a record is given of its own never hides one of its usual keys."""
        entry: dict[str, Any] = {
            **getattr(record, "fields", {}),
            "time": utc_text(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "room": _room(record),
            "event": getattr(record, "event", None),
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        line = json.dumps(entry, default=str)
        return f"<{_PRIORITY.get(record.levelno, 6)}>{line}" if self._journal else line


def setup_logging(form: Format = "text") -> None:
    """Send the log of this process to standard error: its own from INFO on, libraries' from WARNING on.

    With `json`, what Python itself would print (warnings, the traceback that ends a program) becomes a line as well.
    The child processes of this one use the same format.
    """
    os.environ[FORMAT_VARIABLE] = form
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((_Json if form == "json" else _Text)(stderr_is_the_journal()))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("inspectd").setLevel(logging.INFO)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # Keras imports it; where its cache lies is no news
    if form == "json":
        logging.captureWarnings(True)
        sys.excepthook = _last_words


def say_in_json(sentence: str) -> bool:
    """Log a sentence that ends the program, where the log is JSON; False where it is not."""
    root = logging.getLogger()
    is_json = any(isinstance(handler.formatter, _Json) for handler in root.handlers)
    if is_json:
        logging.getLogger("inspectd.cli").error("%s", sentence)
    return is_json


def _last_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("inspectd.cli").critical("ended by a fault: %s", error, exc_info=(kind, error, trace))
