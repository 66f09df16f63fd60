"""The log of the daemon: lines on standard error, for a terminal or for the journal.

    2026-11-23T15:28:34Z INFO  ingest: text

The word before the colon is the room that speaks. Under systemd the journal keeps the time and takes the level from a
prefix (sd-daemon(3)), so that `journalctl -p warning` works.
"""

import logging
import sys
import time

from inspectd.cli.output import printable, stderr_is_the_journal

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class _Formatter(logging.Formatter):
    """One line a message, whatever file names stand in it; tracebacks follow on lines of their own."""

    def __init__(self, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def formatMessage(self, record: logging.LogRecord) -> str:
        room = record.name.removeprefix("inspectd.").partition(".")[0]
        line = f"{record.levelname:<5} {room}: {printable(record.message)}"
        if self._journal:
            return f"<{_PRIORITY.get(record.levelno, 6)}>{line}"
        return f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(record.created))} {line}"


def setup_logging() -> None:
    """Send the log of this process to standard error: its own from INFO on, libraries' from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(stderr_is_the_journal()))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("inspectd").setLevel(logging.INFO)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # Keras imports it; where its cache lies is no news
