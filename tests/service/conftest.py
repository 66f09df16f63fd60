"""The working folder that whole-daemon tests start from."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.site import Site, laid_out


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with laid_out(tmp_path) as site:
        yield site
