"""A fresh ledger in a file of its own for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from support.queueing import HandClock, register

from inspectd.ledger.database import open_writer, upgrade
from inspectd.ledger.write.queue import Queue


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path / 'inspectd.db'}"
    upgrade(address)
    return address


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    opened = open_writer(url)
    yield opened
    opened.dispose()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def queue(engine: Engine, clock: HandClock) -> Queue:
    return Queue(engine, clock)


@pytest.fixture
def model(queue: Queue) -> int:
    return register(queue)
