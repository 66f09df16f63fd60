from pathlib import Path

import pytest
from support.site import Site

from inspectd.ledger.database import open_writer, upgrade
from inspectd.ledger.write.queue import Queue
from inspectd.model.null import write_null_bundle


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with a watched folder and the null network, and no configuration yet."""
    site = Site(tmp_path)
    site.incoming.mkdir()
    write_null_bundle(tmp_path / "models" / "null")
    return site


@pytest.fixture
def queue(site: Site) -> Queue:
    """The site's new ledger."""
    url = f"sqlite:///{site.root / 'inspectd.db'}"
    upgrade(url)
    return Queue(open_writer(url))
