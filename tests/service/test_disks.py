"""Disks that fill up, fail or go away under the daemon, and what it does until they are back."""

import pytest
from support.mounts import Space
from support.site import BRIGHT, DARK, Site, picture, until


@pytest.fixture
def site(site: Site, space: Space) -> Site:
    """The site in a mount namespace, with a small disk of its own as `output`."""
    site.space = space
    (site.root / "output").mkdir()
    space.tmpfs(site.root / "output", "size=256k")
    return site


def test_a_full_output_disk_is_said_and_loses_nothing(site: Site) -> None:
    output = site.root / "output"
    hog = site.seen(output) / "hog"
    hog.write_bytes(bytes(256 * 1024))
    daemon = site.start()
    daemon.heard("READY=1")
    site.drop("bad.png", picture(BRIGHT))
    site.drop("good.png", picture(DARK))
    until(lambda: "no new work until" in daemon.log.read_text(), "the log says so")
    assert site.rows("select count(*) from verdicts where verdict != 'pending'") == [(0,)]
    hog.unlink()
    assert site.outcomes(2) == {"bad.png": "defect", "good.png": "ok"}
    for (overlay,) in site.rows("select overlay from verdicts"):
        assert site.seen(output / overlay).stat().st_size > 0
    until(lambda: "going on" in daemon.log.read_text(), "the log says so")
