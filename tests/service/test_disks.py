"""Disks that fill up, fail or go away under the daemon, and what it does until they are back."""

import os

import pytest
from support.mounts import Space
from support.site import DARK, Site, picture, until
from typer.testing import CliRunner

from inspectd.cli.main import app


@pytest.fixture
def site(site: Site, space: Space) -> Site:
    """The site in a mount namespace, with a small disk of its own as `output`."""
    site.space = space
    (site.root / "output").mkdir()
    space.tmpfs(site.root / "output", "size=256k")
    return site


def fill_with_overlays(site: Site, number: int) -> None:
    """Images one after the other, so that their age is the order of their names."""
    daemon = site.start()
    daemon.heard("READY=1")
    for done in range(number):
        site.drop(f"{done:02d}.png", picture(DARK, seed=done))
        site.outcomes(done + 1)
    assert daemon.stop() == 0


def overlays(site: Site) -> list[str]:
    """The images whose overlay is there, as the ledger has it."""
    rows = site.rows("select path, overlay from verdicts where overlay is not null order by path")
    assert all(site.seen(site.root / "output" / overlay).exists() for _, overlay in rows)
    return [path for path, _ in rows]


def free_share(site: Site) -> float:
    disk = os.statvfs(site.seen(site.root / "output"))
    return disk.f_bavail / disk.f_blocks


def test_the_oldest_overlays_go_until_enough_is_free_and_never_the_pinned_ones(site: Site) -> None:
    fill_with_overlays(site, 12)
    assert CliRunner().invoke(app, ["pin", "00.png", "-c", str(site.config)]).exit_code == 0
    hog = site.seen(site.root / "output") / "hog"
    hog.write_bytes(bytes(int((free_share(site) - 0.45) * 256 * 1024)))
    site.write(retention={"overlays": {"free": "50%"}})
    daemon = site.start()
    until(lambda: site.rows("select 1 from events where kind = 'retention'"), "the audit trail says so")
    left = overlays(site)
    assert left == ["00.png", *(f"{number:02d}.png" for number in range(13 - len(left), 12))]
    assert 2 < len(left) < 12
    assert 0.5 <= free_share(site) < 0.55
    assert daemon.stop() == 0


def test_a_disk_that_stays_too_full_is_told_and_protected_overlays_stay(site: Site) -> None:
    fill_with_overlays(site, 3)
    for name in ("00.png", "01.png", "02.png"):
        assert CliRunner().invoke(app, ["pin", name, "-c", str(site.config)]).exit_code == 0
    site.write(retention={"overlays": {"free": "99%"}})
    daemon = site.start()
    assert "only protected images are left" in daemon.heard("STATUS=retention: ")
    assert site.rows("select count(*) from events where kind = 'retention-alarm'") == [(1,)]
    assert len(overlays(site)) == 3
    assert "only protected images are left" in daemon.log.read_text()
    assert daemon.stop() == 0
