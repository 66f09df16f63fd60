"""The names of the files that an outcome leaves in `output`: made from an image and a model, and read again."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

STEM_BYTES = 80  # of the source's name, in the names of its files
_ARTIFACT = re.compile(r".*-(\d{1,18})-([0-9a-f]{8})(\.jpg|\.png|\.json)", re.DOTALL)


class Named(Protocol):
    """What of an image goes into the names of its files."""

    @property
    def image_id(self) -> int: ...
    @property
    def watch(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def seen_at(self) -> str: ...


@dataclass(frozen=True)
class Artifact:
    """What the name of a file in `output` says: the image's id, the first digits of the model, the suffix."""

    image_id: int
    model: str
    suffix: str

    @classmethod
    def of(cls, name: str) -> Self | None:
        """None for a name that `artifact_path` does not give."""
        found = _ARTIFACT.fullmatch(name)
        return cls(int(found[1]), found[2], found[3]) if found else None


def artifact_path(image: Named, model: str, suffix: str) -> Path:
    """``{watch}/{day seen}/{stem}-{image id}-{model 8}``, relative to `output`.

    It depends on nothing but the image and the model, so that a retry, even after midnight, overwrites its own.
    """
    stem = Path(image.path).stem.encode()[:STEM_BYTES].decode(errors="ignore")
    safe = "".join(char if char.isprintable() else "_" for char in stem)
    return Path(image.watch, image.seen_at[:10], f"{safe}-{image.image_id}-{model}{suffix}")
