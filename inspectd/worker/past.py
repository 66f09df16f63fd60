"""The source of an image whose verdict stands, read again: where it was dropped, or where `after: move` has brought it.

Only the very content that was judged will do.
"""

from pathlib import Path

from inspectd.config import Config
from inspectd.paths import from_text, to_text
from inspectd.worker.source import Source, SourceError, read


def read_again(config: Config, watch: str, path: str, moved_to: str | None, sha256: str) -> Source:
    """Read the file of a past image.

    Args:
        path, moved_to: as the image's row has them.
        sha256: of the content that was judged.

    Raises:
        SourceError: always with a reason: it is gone, cannot be read, or holds something else now.
    """
    of = next((each for each in config.watch if each.name == watch), None)
    if of is None:
        raise SourceError(f"no watch: the configuration has no watch {watch}")
    root = of.path
    if moved_to:
        there = Path(from_text(moved_to))
        root, path = there.parent, to_text(there.name)
    try:
        source = read(root, path, follow_links=of.follow_links, max_bytes=config.limits.bytes)
    except SourceError as error:
        raise SourceError(error.reason or "changed: it was written to while it was read") from error
    if source.sha256 != sha256:
        raise SourceError("changed: it is not the content that was judged")
    return source
