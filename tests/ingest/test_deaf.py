"""Watches in which events do not arrive, for real: what is missed is counted, polled for, and said."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.mounts import REFUSED, Space
from support.site import BRIGHT, Site, laid_out, picture, until
from watchdog.observers.inotify_c import inotify_rm_watch

from inspectd.ingest.evidence import ENOUGH
from inspectd.ingest.gate import Counters

SETTLE = 2.0
NO_EVENTS = "polling (no events arrive)"


def events(site: Site) -> list[str]:
    return [detail for (detail,) in site.rows("select detail from events where kind = 'watch' order by id")]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with laid_out(tmp_path) as site:
        yield site


@pytest.mark.long
def test_where_no_events_arrive_the_daemon_polls_says_so_and_comes_back(site: Site, space: Space) -> None:
    """An overlay whose upper layer is written to directly: the files are there, and inotify hears nothing of them."""
    site.space = space
    disk = site.root / "disk"
    disk.mkdir()
    space.tmpfs(disk, "size=8m")
    for name in ("lower", "upper", "work"):
        (site.seen(disk) / name).mkdir()
    options = f"lowerdir={disk}/lower,upperdir={disk}/upper,workdir={disk}/work"
    space.run("mount", "-t", "overlay", "-o", options, "overlay", str(site.incoming))
    site.write({"rescan": 1})
    daemon = site.start()
    daemon.heard("READY=1")
    daemon.heard("line (inotify)")

    for number in range(ENOUGH):
        (site.seen(disk) / "upper" / f"{number}.png").write_bytes(picture(BRIGHT, seed=number))
    site.outcomes(ENOUGH)
    daemon.heard(f"line ({NO_EVENTS})")
    assert events(site) == [f"line: its files are now found by {NO_EVENTS}"]
    (site.seen(disk) / "upper" / "polled.png").write_bytes(picture(BRIGHT, seed=100))
    site.outcomes(ENOUGH + 1)

    for number in range(10, 10 + ENOUGH):
        site.drop(f"{number}.png", picture(BRIGHT, seed=number))
    until(lambda: len(events(site)) == 2, "events arrive again")
    daemon.heard("line (inotify)")
    assert events(site)[1] == "line: its files are now found by inotify"
    site.outcomes(2 * ENOUGH + 1)
    assert daemon.stop() == 0
    log = daemon.log.read_text()
    assert [log.count(f"now found by {way}") for way in (NO_EVENTS, "inotify")] == [1, 1]


def test_an_unmounted_disk_loses_no_file_and_none_is_judged_twice(site: Site, space: Space) -> None:
    """The empty folder under the mount is no news of the files on the disk, those that wait included."""
    site.space = space
    disk = site.root / "disk"
    disk.mkdir()
    space.tmpfs(disk, "size=8m")
    (site.seen(disk) / "images").mkdir()
    mount = ["mount", "--bind", f"{disk}/images", str(site.incoming)]
    space.run(*mount)
    site.write({"settle": 0.5})
    daemon = site.start()
    daemon.heard("READY=1")
    site.drop("good.png", picture(BRIGHT))
    site.outcomes(1)
    site.drop("short.png", picture(BRIGHT, seed=1)[:-20])  # looked at again after five times `settle`
    until(lambda: site.rows("select 1 from images where state = 'settling'"), "the short one put back")
    space.run("umount", "--lazy", str(site.incoming))
    until(lambda: "on another disk than before" in daemon.log.read_text(), "the log says so")
    waiting = site.rows("select state, reason from images where path = 'short.png'")
    assert waiting[0][0] == "settling"

    (site.seen(disk) / "images" / "short.png").write_bytes(picture(BRIGHT, seed=1))  # its writer went on elsewhere
    space.run(*mount)
    assert site.outcomes(2) == {"good.png": "defect", "short.png": "defect"}
    assert "is watched again" in daemon.log.read_text()
    assert site.rows("select count(*) from inspections") == [(2,)]
    assert site.rows("select count(*) from images where reason like 'vanished%'") == [(0,)]


def test_what_events_do_not_tell_by_design_is_not_missed(bench: Any) -> None:
    """A folder behind a link, and a known file that is merely touched."""
    (bench.outside / "day").mkdir()
    (bench.folder / "today").symlink_to(bench.outside / "day")
    (bench.folder / "old.png").write_bytes(b"image")
    bench.start(follow_links=True, rescan=10.0)
    bench.run(SETTLE)
    os.utime(bench.folder / "old.png")
    for number in range(ENOUGH):
        (bench.outside / "day" / f"{number}.png").write_bytes(b"image")
    bench.run(10.0)
    bench.run(SETTLE)
    bench.run(1.0)
    assert len(bench.rows()) == 1 + ENOUGH
    assert bench.enqueued[-1] == 1 + ENOUGH
    assert bench.intake.counters["line"] == Counters(missed=0, rescans=0, stalled=0, settling=0)
    assert bench.intake.backends == {"line": "inotify"}


@pytest.mark.parametrize(("backend", "standing"), [("auto", NO_EVENTS), ("inotify", "inotify")])
def test_files_that_events_missed_are_counted_and_polled_for_unless_told_otherwise(
    bench: Any, backend: str, standing: str
) -> None:
    (bench.folder / "sub").mkdir()
    bench.start(backend=backend, rescan=10.0)
    reader = next(thread for thread in threading.enumerate() if type(thread).__name__ == "_Reader")
    watches = Path(f"/proc/self/fdinfo/{reader._inotify_fd}").read_text()
    inode = (bench.folder / "sub").stat().st_ino
    found = re.search(rf"^inotify wd:(\w+) ino:{inode:x} ", watches, re.MULTILINE)
    assert found
    inotify_rm_watch(reader._inotify_fd, int(found[1], 16))  # the kernel tells nothing of this folder from now on
    for number in range(ENOUGH):
        (bench.folder / "sub" / f"{number}.png").write_bytes(b"image")
    bench.run(10.0)
    bench.run(SETTLE)
    bench.run(1.0)
    assert bench.intake.counters["line"].missed == ENOUGH
    assert bench.intake.backends == {"line": standing}


FULL = "polling (no inotify watches left)"


def test_where_the_system_has_no_inotify_watch_left_the_daemon_polls_and_says_what_to_do(site: Site) -> None:
    """A user namespace of the daemon's own has a limit of its own."""
    own = ["unshare", "--user", "--map-root-user", "--"]
    if not shutil.which("unshare") or subprocess.run([*own, "true"], check=False, capture_output=True).returncode:
        pytest.skip(REFUSED)
    site.within = [*own, "sh", "-c", 'echo 3 > /proc/sys/user/max_inotify_watches && exec "$@"', "sh"]
    for number in range(5):
        (site.incoming / f"{number}").mkdir()
    daemon = site.start()
    daemon.heard("READY=1")
    daemon.heard(f"line ({FULL})")
    for number in range(5):
        site.drop(f"{number}/a.png", picture(BRIGHT, seed=number))
    site.outcomes(5)
    log = daemon.log.read_text()
    assert log.count("raise fs.inotify.max_user_watches") == 1
    assert events(site) == [f"line: its files are now found by {FULL}"]
