"""A small file beside the ledger, from which `inspectd status` reads what the watches leave out.

The file is not part of the ledger. Deleting it loses nothing, because the next scan writes it again.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from inspectd.config import Config
from inspectd.durable import write_all
from inspectd.ingest.left_out import LeftOut

log = logging.getLogger(__name__)


def left_out_file(config: Config) -> Path:
    """The path of the file."""
    ledger = config.database_file
    return ledger.with_name(f"{ledger.name}.left-out.json")


class Published:
    """Writes the file when the counts have changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: dict[str, LeftOut | None] = {}

    def publish(self, left_out: Mapping[str, LeftOut | None]) -> None:
        """Writes what each watch leaves out, by its name (None before its first scan), if the counts have changed.

        If the disk refuses the file, it is written when the counts change again.
        """
        if left_out == self._written:
            return
        self._written = dict(left_out)
        found = {name: asdict(each) for name, each in left_out.items() if each is not None}
        try:
            write_all([(self._path, json.dumps(found).encode())])
        except OSError as error:
            log.warning(
                "%s cannot be written (%s); `inspectd status` does not know what is left out.", self._path, error
            )


def read_left_out(config: Config) -> dict[str, LeftOut]:
    """Reads what each watch left out at its last scan, by its name; a watch without a scan is missing."""
    try:
        found = json.loads(left_out_file(config).read_bytes())
        return {name: LeftOut(**counts) for name, counts in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # not there yet, or not readable for this user
        return {}
