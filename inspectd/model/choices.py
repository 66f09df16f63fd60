"""Remembers which precision passed the proof, so that the next start opens a network once instead of twice.

The remembered precision is proven again at each start. If the file is missing, damaged or cannot be written, the next
start takes the time of one more proof; nothing else changes.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from inspectd.domain import Method, Precision
from inspectd.durable import write_all
from inspectd.model.bundle import Bundle

log = logging.getLogger(__name__)

MOST = 64  # choices kept, the newest


@dataclass(frozen=True)
class Choice:
    """The precision that was chosen; `why` is a sentence that says why no faster one was."""

    precision: Precision
    why: str | None = None


_KNOWN = TypeAdapter(dict[str, Choice])


@dataclass(frozen=True)
class Choices:
    """A file of choices, by bundle, method, device and versions."""

    path: Path

    def recall(self, key: str) -> Choice | None:
        """The choice for a key; None where there is none."""
        return self._read().get(key)

    def note(self, key: str, choice: Choice) -> None:
        """Saves a choice if the disk accepts it."""
        known = self._read()
        known.pop(key, None)
        newest = dict([*known.items(), (key, choice)][-MOST:])
        try:
            write_all([(self.path, _KNOWN.dump_json(newest, indent=1) + b"\n")])
        except OSError as error:
            log.warning("%s cannot be written (%s): the next start proves every precision again", self.path, error)

    def _read(self) -> dict[str, Choice]:
        try:
            return _KNOWN.validate_json(self.path.read_bytes())
        except (OSError, ValidationError):
            return {}


def choice_key(bundle: Bundle, device: str, method: Method) -> str:
    """The key of a choice: the bundle, the method of heat, the device, and the versions of the software."""
    from inspectd.model.engine.backend import SOFTWARE

    return f"{bundle.identity} with {method} on {device} by {SOFTWARE}"
