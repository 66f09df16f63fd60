"""Disks that fill up, turn read-only or come back under the daemon, and what it does until they are well again."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.mounts import Space
from support.site import BRIGHT, DARK, Daemon, Site, picture, until

SCARCE = ["size=512k", "size=64m,nr_inodes=32"]
EXPECTED = {f"{number}.png": "defect" if number % 2 else "ok" for number in range(6)}


@pytest.fixture
def site(site: Site, space: Space) -> Site:
    """The site in a mount namespace, with the ledger in a folder of its own."""
    site.space = space
    site.ledger = "ledger/inspectd.db"
    for name in ("output", "ledger"):
        (site.root / name).mkdir()
    site.write(sidecar=True)
    return site


def disk(site: Site, name: str, options: str) -> Path:
    """A small disk on a folder of the site; the folder as this process sees it."""
    assert site.space
    site.space.tmpfs(site.root / name, options)
    return site.seen(site.root / name)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """No byte and no inode is left in the disk on `folder` within the block."""
    hogs = []
    with suppress(OSError):  # ENOSPC ends it
        for number in range(100):
            hogs.append(folder / f"hog-{number}")
            with hogs[-1].open("wb", buffering=0) as file:
                for _ in range(256):
                    file.write(bytes(4096))
    assert len(hogs) < 100
    yield
    for hog in hogs:
        hog.unlink(missing_ok=True)


def drop(site: Site, count: int = len(EXPECTED)) -> None:
    for number in range(count):
        site.drop(f"{number}.png", picture(BRIGHT if number % 2 else DARK, seed=number))


def judged(site: Site) -> int:
    return len(site.rows("select 1 from inspections"))


def assert_whole(site: Site) -> None:
    """Every image has its one verdict, and every verdict its whole overlay and sidecar; nothing else lies there."""
    assert site.outcomes(len(EXPECTED)) == EXPECTED
    assert judged(site) == len(EXPECTED)
    output = site.seen(site.root / "output")
    overlays = {output / overlay for (overlay,) in site.rows("select overlay from verdicts")}
    assert all(path.read_bytes().endswith(b"\xff\xd9") for path in overlays), "a JPEG ends with its marker"
    sidecars = {path.with_suffix(".json") for path in overlays}
    assert {path for path in output.rglob("*") if path.is_file()} == overlays | sidecars


def said_once(daemon: Daemon, text: str) -> bool:
    return daemon.log.read_text().count(text) == 1


@pytest.mark.parametrize("scarce", SCARCE)
def test_a_full_output_disk_is_said_and_loses_nothing(site: Site, scarce: str) -> None:
    output = disk(site, "output", scarce)
    with filled(output):
        daemon = site.start()
        daemon.heard("READY=1")
        drop(site)
        heard = daemon.heard("no new work: No space left on device")
        assert str(site.root / "output") in heard
        until(lambda: site.rows("select 1 from events where kind = 'trouble'"), "an event")
        assert judged(site) == 0
        assert not [path for path in output.rglob("*") if path.suffix in (".jpg", ".json", ".tmp")], "half a result"
    assert_whole(site)
    until(lambda: site.rows("select 1 from events where detail = 'going on'"), "an event")
    assert said_once(daemon, "no new work: No space left")
    assert said_once(daemon, "going on")


@pytest.mark.long
def test_an_archive_that_gives_no_answer_holds_up_neither_verdicts_nor_a_stop(site: Site, space: Space) -> None:
    """A true hang: whoever writes to a frozen disk waits in the kernel, and no signal ends that."""
    archive = site.root / "archive"
    archive.mkdir()
    space.ext4(archive, site.root / "archive.img")
    site.write({"after": "move"}, sidecar=True)
    with space.frozen(archive):
        daemon = site.start()
        daemon.heard("READY=1")
        drop(site)
        assert_whole(site)
        daemon.heard("files are not put away: no answer from a disk over")
        until(lambda: site.rows("select 1 from events where kind = 'trouble'"), "an event")
        site.drop("later.png", picture(DARK, seed=99))
        assert site.outcomes(len(EXPECTED) + 1)["later.png"] == "ok"
        assert site.rows("select 1 from events where kind in ('hang', 'worker-died')") == []
        assert daemon.stop() == 0
        assert site.rows("select count(*) from images where \"after\" = 'pending'") == [(len(EXPECTED) + 1,)]
    site.start()
    moved = "select count(*) from images where \"after\" = 'moved'"
    until(lambda: site.rows(moved) == [(len(EXPECTED) + 1,)], "the files in the archive")
    assert len(list(site.seen(archive).rglob("*.png"))) == len(EXPECTED) + 1
    assert judged(site) == len(EXPECTED) + 1


@pytest.mark.long
@pytest.mark.parametrize("scarce", SCARCE)
def test_a_stop_while_the_output_disk_is_full_gives_the_images_back(site: Site, scarce: str) -> None:
    with filled(disk(site, "output", scarce)):
        daemon = site.start()
        drop(site)
        daemon.heard("no new work")
        assert daemon.stop() == 0
        assert site.rows("select state, count(*) from images group by 1") == [("queued", len(EXPECTED))]
    site.start()
    assert_whole(site)


def test_a_full_ledger_disk_is_said_and_loses_nothing(site: Site) -> None:
    ledger = disk(site, "ledger", "size=1m")
    daemon = site.start()
    daemon.heard("READY=1")
    with filled(ledger):
        drop(site)
        assert "the disk is full" in daemon.heard("no new work")
    assert_whole(site)
    until(lambda: site.rows("select 1 from events where kind = 'ledger'"), "an event")
    assert said_once(daemon, "the ledger takes no writes")


@pytest.mark.long
def test_a_ledger_disk_that_fills_with_images_in_hand(site: Site) -> None:
    """They are claimed and cannot be finished; a stop ends all the same, and the next start judges them."""
    ledger = disk(site, "ledger", "size=1m")
    output = disk(site, "output", "size=512k")
    with filled(output):
        daemon = site.start()
        drop(site)
        daemon.heard("no new work: No space left on device")
        with filled(ledger):
            for hog in output.glob("hog-*"):
                hog.unlink()
            daemon.heard("no new work: The database")
            assert daemon.stop() == 0
    site.start()
    assert_whole(site)


@pytest.mark.parametrize("scarce", ["size=1m", "size=64m,nr_inodes=32"])
def test_a_start_waits_for_room_on_the_ledgers_disk(site: Site, scarce: str) -> None:
    ledger = disk(site, "ledger", scarce)
    assert site.start("--once").ends() == 0
    drop(site)
    with filled(ledger):
        daemon = site.start()
        daemon.heard("no new work: The database")
    daemon.heard("READY=1")
    assert_whole(site)
    assert said_once(daemon, "the ledger takes no writes")


def test_the_first_start_waits_for_inodes_on_the_ledgers_disk(site: Site) -> None:
    with filled(disk(site, "ledger", "size=64m,nr_inodes=32")):
        daemon = site.start()
        assert "inspectd.db.lock cannot be created or written: No space left" in daemon.heard("no new work")
    daemon.heard("READY=1")


@pytest.mark.long
def test_no_inode_left_on_the_ledgers_disk_hinders_no_running_daemon(site: Site) -> None:
    """Its files are there already, and a new worker finds them."""
    with filled(disk(site, "ledger", "size=64m,nr_inodes=32")):
        pass
    daemon = site.start()
    daemon.heard("READY=1")
    first = daemon.worker()
    with filled(site.seen(site.root / "ledger")):
        os.kill(first, signal.SIGKILL)
        drop(site)
        assert_whole(site)
        assert daemon.worker() != first


@pytest.mark.long
def test_a_ledgers_disk_that_fails_and_turns_read_only_is_said_and_loses_nothing(site: Site) -> None:
    """The kernel gives such a disk back only to a new mount, which needs a stop; while files are open no one else can
    make it read-only."""
    assert site.space
    image = site.root / "disk.img"
    device = site.space.ext4(site.root / "ledger", image)
    daemon = site.start()
    drop(site, 3)
    site.outcomes(3)
    site.space.fail(device)
    drop(site)
    assert "the disk reports an error" in daemon.heard("no new work: The database")
    until(lambda: said_once(daemon, "the ledger takes no writes"), "a line of the daemon's own")
    assert daemon.stop() == 0
    site.space.run("umount", str(site.root / "ledger"))
    site.space.ext4(site.root / "ledger", image)
    site.start()
    assert_whole(site)


@pytest.mark.long
def test_a_ledgers_disk_that_is_read_only_at_the_start_is_a_sentence(site: Site) -> None:
    disk(site, "ledger", "size=1m")
    assert site.start("--once").ends() == 0
    drop(site)
    disk(site, "ledger", "remount,ro")
    daemon = site.start()
    assert daemon.ends() == 78, "systemd does not start it again"
    assert "inspectd.db.lock cannot be created or written: Read-only file system" in daemon.log.read_text()
    disk(site, "ledger", "remount,rw")
    site.start()
    assert_whole(site)


def test_a_read_only_output_is_said_and_loses_nothing(site: Site) -> None:
    disk(site, "output", "size=1m")
    daemon = site.start()
    daemon.heard("READY=1")
    disk(site, "output", "remount,ro")
    drop(site)
    daemon.heard("no new work: Read-only file system")
    assert judged(site) == 0
    disk(site, "output", "remount,rw")
    assert_whole(site)
