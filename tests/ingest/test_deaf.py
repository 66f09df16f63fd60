"""Watches in which events do not arrive, for real: what is missed is counted, polled for, and said."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mounts import Space
from support.site import BRIGHT, Site, laid_out, picture, until

from inspectd.ingest.evidence import ENOUGH

SETTLE = 2.0
NO_EVENTS = "polling (no events arrive)"


def events(site: Site) -> list[str]:
    return [detail for (detail,) in site.rows("select detail from events where kind = 'watch' order by id")]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with laid_out(tmp_path) as site:
        yield site


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
