"""The working folder that whole-daemon tests start from."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.site import Site

from inspectd.model.null import write_null_bundle


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.incoming.mkdir()
    write_null_bundle(tmp_path / "models" / "null")
    site.write()
    yield site
    for daemon in site.daemons:
        if daemon.process.poll() is None:
            daemon.kill()
        daemon.notices.close()
