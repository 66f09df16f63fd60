"""A booted systemd with inspectd installed in it as docs/deployment.md says, and a site for each test."""

from collections.abc import Iterator

import pytest
from support.box import Box, obstacle
from support.service import Service, typed


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("systemd")
    if reason := obstacle(folder / "probe"):
        pytest.skip(reason)
    box = Box(folder / "box")
    try:
        for name in ("inspectd", "alice", "bob"):  # this machine may have them
            box.run("userdel", "--force", name)
        box.run("groupdel", "inspectd")
        for person in ("alice", "bob"):
            box.ask("useradd", "--no-create-home", "--shell", "/bin/bash", person)
        box.type([typed("1. Install")[-1], *typed("2. A working folder")])
        yield box
    finally:
        box.close()


@pytest.fixture
def service(box: Box) -> Service:
    service = Service(box)
    service.clean()
    return service
