"""What a rule's free space means in bytes, and which folder is the archive."""

from pathlib import Path

import pytest

from inspectd.config import Watch, free_bytes


@pytest.mark.parametrize(
    ("free", "expected"),
    [("10%", 100_000), ("0.5 %", 5_000), ("50 GB", 50 * 10**9), ("1.5TB", 15 * 10**11), ("200 MB", 2 * 10**8)],
)
def test_free_space_in_bytes(free: str, expected: int) -> None:
    assert free_bytes(free, total=1_000_000) == expected


@pytest.mark.parametrize(
    ("move_to", "archive"),
    [
        ("/a/archive/{watch}/{verdict}/{date}", "/a/archive"),
        ("/a/archive-{date}/all", "/a"),
        ("/a/{{old}}/all", "/a/{old}/all"),
    ],
)
def test_the_archive_is_what_stands_before_the_first_placeholder(move_to: str, archive: str) -> None:
    watch = Watch(name="line", path=Path("/in"), model=Path("/m"), after="move", move_to=move_to)
    assert watch.archive == Path(archive)
