"""Past images judged again beside live ones: turns, models opened and let go of, and what a model cannot bear."""

import json
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from support.line import StubLine, work_off
from support.site import DARK, Site, laid_out, picture, until

from inspectd import config
from inspectd.domain import Stat
from inspectd.ledger.database import open_writer, upgrade
from inspectd.ledger.records import Arrival, ReinspectionRequest
from inspectd.ledger.write.queue import Queue
from inspectd.model.bundle import Bundle
from inspectd.model.inspector import Inspector
from inspectd.model.loading import open_inspector
from inspectd.model.null import NullInspector, write_null_bundle
from inspectd.model.spec import Thresholds
from inspectd.vision.decode import decode
from inspectd.worker import models
from inspectd.worker.channel import WorkerChannel
from inspectd.worker.models import Opened
from inspectd.worker.reinspect import Reinspector
from inspectd.worker.worker import Worker


class Busy(Queue):
    """A ledger in which a live image arrives whenever earlier ones were judged again, until nothing waits."""

    def __init__(self, site: Site, line: StubLine) -> None:
        super().__init__(open_writer(f"sqlite:///{site.root / 'inspectd.db'}"))
        numbers = count(101)
        record, close = self.reinspections.record, self.reinspections.close

        def record_and_drop(*arguments: Any) -> int:
            judged = record(*arguments)
            drop(site, self, next(numbers))
            return judged

        def close_and_stop(request: ReinspectionRequest) -> None:
            close(request)
            line.stop.set()

        self.reinspections.record = record_and_drop  # type: ignore[method-assign]
        self.reinspections.close = close_and_stop  # type: ignore[method-assign]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with laid_out(tmp_path) as site:
        upgrade(f"sqlite:///{site.root / 'inspectd.db'}")
        yield site


@pytest.fixture
def strict(site: Site) -> Bundle:
    return write_null_bundle(site.root / "models" / "strict", "strict", Thresholds(defect=-20.0))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def drop(site: Site, queue: Queue, number: int) -> None:
    path = site.drop(f"{number}.png", picture(DARK, seed=number))
    queue.arrivals.enqueue("line", [Arrival(path.name, Stat.of(path.stat()))])


def inspected(site: Site, queue: Queue, count: int) -> None:
    """So many images, and a worker that has judged them."""
    for number in range(count):
        drop(site, queue, number)
    work_off(config.load(site.config), queue)


def ask(queue: Queue, bundle: Bundle, count: int) -> None:
    queue.reinspections.add(bundle.identity, str(bundle.path), range(1, count + 1))


def reinspector(site: Site, queue: Queue, pool: ThreadPoolExecutor, **serving: Opened) -> Reinspector:
    settings = config.load(site.config)
    return Reinspector(settings, queue, pool, serving, batch=4, progress=lambda: None, wake=lambda: None)


def rows(site: Site, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(site.root / "inspectd.db") as connection:
        return connection.execute(sql).fetchall()


def test_live_images_have_their_turn_between_two_batches(site: Site, strict: Bundle, pool: ThreadPoolExecutor) -> None:
    line = StubLine()
    queue = Busy(site, line)
    inspected(site, queue, 12)
    ask(queue, strict, 12)
    worker = Worker(config.load(site.config), queue, cast(WorkerChannel, line))
    worker.run(worker.open_lanes(pool), pool)
    models = "".join(
        str(model) for (model,) in rows(site, "select model_id from inspections where id > 12 order by id")
    )
    assert models == "2222" + "1" + "2222" + "1" + "2222" + "1"


def test_a_model_that_nobody_waits_for_is_let_go(
    site: Site, strict: Bundle, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[weakref.ref[Inspector]] = []

    def remember(*arguments: Any) -> Inspector:
        inspector = NullInspector(arguments[0])
        opened.append(weakref.ref(inspector))
        return inspector

    queue = Queue(open_writer(f"sqlite:///{site.root / 'inspectd.db'}"))
    inspected(site, queue, 5)
    monkeypatch.setattr(models, "open_inspector", remember)
    subject = reinspector(site, queue, pool)
    for images in (3, 5):
        ask(queue, strict, images)
        until(lambda: subject.step() and not queue.reinspections.count(), "the last of them")
        while subject.step():
            pass
        assert opened[-1]() is None
    assert len(opened) == 2
    assert rows(site, "select count(*) from inspections where model_id = 2") == [(5,)]


class Weak(NullInspector):
    """Bears one image at a time, and one of them not at all."""

    def __init__(self, bundle: Bundle, error: type[Exception]) -> None:
        super().__init__(bundle)
        self._error = error
        self._seen: list[float] = []

    def inspect(self, prepared: Sequence[Any]) -> list[Any]:
        if len(prepared) > 1 or prepared[0].mean() > 100:
            raise self._error("it is too much")
        return super().inspect(prepared)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError, "too large: there is not enough memory to judge it"),
        (ArithmeticError, "no answer: the network failed with ArithmeticError: it is too much"),
    ],
)
def test_an_image_that_the_network_cannot_bear_is_found_by_itself(
    site: Site, strict: Bundle, pool: ThreadPoolExecutor, error: type[Exception], reason: str
) -> None:
    queue = Queue(open_writer(f"sqlite:///{site.root / 'inspectd.db'}"))
    path = site.drop("heavy.png", picture(200))
    queue.arrivals.enqueue("line", [Arrival(path.name, Stat.of(path.stat()))])
    inspected(site, queue, 3)
    ask(queue, strict, 4)
    subject = reinspector(site, queue, pool, **{strict.identity: Opened(Weak(strict, error), 0.01)})
    assert subject.step()
    assert rows(site, "select reason from reinspection_images") == [(reason,)]
    assert rows(site, "select count(*) from inspections where model_id = 2") == [(3,)]


def test_a_slow_model_takes_images_one_by_one(site: Site, strict: Bundle, pool: ThreadPoolExecutor) -> None:
    queue = Queue(open_writer(f"sqlite:///{site.root / 'inspectd.db'}"))
    inspected(site, queue, 3)
    ask(queue, strict, 3)
    subject = reinspector(site, queue, pool, **{strict.identity: Opened(NullInspector(strict), slowest=60.0)})
    assert subject.step()
    assert queue.reinspections.count() == 2


def test_a_disk_that_is_full_for_a_while_costs_no_attempt(site: Site, strict: Bundle, pool: ThreadPoolExecutor) -> None:
    queue = Queue(open_writer(f"sqlite:///{site.root / 'inspectd.db'}"))
    inspected(site, queue, 2)
    ask(queue, strict, 2)
    subject = reinspector(site, queue, pool, **{strict.identity: Opened(NullInspector(strict), 0.01)})
    output = site.root / "output"
    output.rename(site.root / "away")
    output.touch()  # no folder: nothing can be written there
    for _ in range(5):
        with pytest.raises(OSError, match="output"):
            subject.step()
    output.unlink()
    assert subject.step()
    assert rows(site, "select count(*) from inspections where model_id = 2") == [(2,)]
    assert queue.reinspections.count() == 0


def test_a_real_network_is_opened_beside_the_work_and_says_what_it_says_elsewhere(
    site: Site, pool: ThreadPoolExecutor
) -> None:
    from support.networks import sequential

    bundle = sequential().bundle(site.root)
    queue = Queue(open_writer(f"sqlite:///{site.root / 'inspectd.db'}"))
    inspected(site, queue, 3)
    ask(queue, bundle, 3)
    subject = reinspector(site, queue, pool)
    assert not subject.step(), "it has not waited for the network"
    assert subject.is_opening
    until(lambda: subject.step() and not queue.reinspections.count(), "all of them")
    found = rows(site, "select path, logits from inspections join images on images.id = image_id where model_id = 2")
    inspector = open_inspector(bundle, "cpu", "float32")
    for path, logits in found:
        image = decode((site.incoming / path).read_bytes(), 10**6)
        (finding,) = inspector.inspect([inspector.prepare(image.pixels)])
        assert json.loads(logits) == pytest.approx(finding.logits, rel=1e-5)
    assert len(found) == 3
