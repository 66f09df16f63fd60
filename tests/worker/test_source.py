"""Reading a source file: whole, once, and never outside the watch."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inspectd.domain import Stat
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


HOSTILE_PART = st.sampled_from(
    ["..", ".", "", "sub", "link", "a.png", "link.png", "%2e%2e", "%2E%2E", "%00", "\0", "~", "*"]
)
HOSTILE_PATH = st.one_of(st.text(), st.lists(HOSTILE_PART, max_size=6).map("/".join))


@settings(max_examples=500, deadline=None)
@given(path=HOSTILE_PATH)
@example(path="/etc/hostname")
@example(path="%00.png")
def test_no_name_leads_out_of_the_watch(hostile_watch: Path, path: str) -> None:
    """Whatever stands in the ledger as a path: it is a file in the watch, or a failure with a reason."""
    try:
        found = read(hostile_watch, path, follow_links=False, max_bytes=LIMIT).data.decode()
    except SourceError as error:
        found = (error.reason or "").partition(":")[0]
    assert found in ("inside", "unreadable", "vanished")


@pytest.fixture(scope="module")
def hostile_watch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A watch with links that lead out of it, to the folder that it lies in and to a file there."""
    outside = tmp_path_factory.mktemp("outside")
    watch = outside / "watch"
    (watch / "sub").mkdir(parents=True)
    for folder in (watch, watch / "sub"):
        (folder / "a.png").write_bytes(b"inside")
        (folder / "link").symlink_to(outside)
        (folder / "link.png").symlink_to(outside / "a.png")
    (outside / "a.png").write_bytes(b"outside")
    return watch


def test_a_folder_swapped_for_a_link_again_and_again_leads_nowhere(tmp_path: Path) -> None:
    watch, outside = tmp_path / "watch", tmp_path / "outside"
    for folder, content in ((watch / "folder", b"inside"), (outside, b"outside")):
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(content)
    (watch / "link").symlink_to(outside)
    swap = "import os, sys\nos.chdir(sys.argv[1])\nwhile True:\n"
    for name, to in (("folder", "kept"), ("link", "folder"), ("folder", "link"), ("kept", "folder")):
        swap += f"    os.rename({name!r}, {to!r})\n"
    found = Counter[str]()
    with subprocess.Popen([sys.executable, "-c", swap, str(watch)]) as swapper:
        while found["inside"] < 100 or found["refused"] < 100:
            assert swapper.poll() is None
            try:
                found[read(watch, "folder/a.png", follow_links=False, max_bytes=LIMIT).data.decode()] += 1
            except SourceError:
                found["refused"] += 1
        swapper.kill()
    assert found["outside"] == 0
