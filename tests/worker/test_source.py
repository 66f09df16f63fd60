"""Reading a source file: whole, once, and never outside the watch."""

import hashlib
import os
from pathlib import Path

import pytest

from inspectd.ledger.records import Stat
from inspectd.paths import to_text
from inspectd.worker.source import SourceError, read

LIMIT = 1_000_000


def reason(root: Path, path: str, *, follow_links: bool = False, max_bytes: int = LIMIT) -> str | None:
    with pytest.raises(SourceError) as caught:
        read(root, path, follow_links=follow_links, max_bytes=max_bytes)
    return caught.value.reason


def test_bytes_hash_and_stat_belong_together(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "a.png"
    path.write_bytes(b"pixels")
    source = read(tmp_path, "sub/a.png", follow_links=False, max_bytes=LIMIT)
    assert source.data == b"pixels"
    assert source.sha256 == hashlib.sha256(b"pixels").hexdigest()
    assert source.stat == Stat.of(path.stat())


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    name = b"part\xff%41\n.png"
    (tmp_path / os.fsdecode(name)).write_bytes(b"pixels")
    assert read(tmp_path, to_text(name), follow_links=False, max_bytes=LIMIT).data == b"pixels"


def test_links_lead_nowhere_unless_followed(tmp_path: Path) -> None:
    outside, watch = tmp_path / "outside", tmp_path / "watch"
    outside.mkdir()
    watch.mkdir()
    (outside / "secret.png").write_bytes(b"secret")
    (watch / "file.png").symlink_to(outside / "secret.png")
    (watch / "folder").symlink_to(outside)
    for path in ("file.png", "folder/secret.png"):
        assert (reason(watch, path) or "").startswith("unreadable:")
        assert read(watch, path, follow_links=True, max_bytes=LIMIT).data == b"secret"


@pytest.mark.parametrize("path", ["../outside.png", "sub/../../outside.png"])
def test_no_name_climbs_out(tmp_path: Path, path: str) -> None:
    (tmp_path / "watch" / "sub").mkdir(parents=True)
    (tmp_path / "outside.png").write_bytes(b"secret")
    assert (reason(tmp_path / "watch", path) or "").startswith("unreadable:")


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "folder.png").mkdir()
    assert (reason(tmp_path, "fifo.png") or "").startswith("unreadable:")
    assert (reason(tmp_path, "folder.png") or "").startswith("unreadable:")


def test_gone_and_too_large(tmp_path: Path) -> None:
    assert (reason(tmp_path, "gone.png") or "").startswith("vanished:")
    (tmp_path / "large.png").write_bytes(bytes(11))
    assert (reason(tmp_path, "large.png", max_bytes=10) or "").startswith("too large:")


def test_a_file_that_grows_while_it_is_read_must_settle_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "growing.png"
    path.write_bytes(b"first half")
    real = os.read

    def read_and_grow(descriptor: int, size: int) -> bytes:
        data = real(descriptor, size)
        with path.open("ab") as file:
            file.write(b".")
        return data if path.stat().st_size < 15 else b""

    monkeypatch.setattr(os, "read", read_and_grow)
    assert reason(tmp_path, "growing.png") is None
