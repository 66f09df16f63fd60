"""The worker's loop: batches too large for the memory, two of them at once, and signs of life."""

import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, cast

import pytest
import yaml
from support.line import StubLine, work_off
from support.site import BRIGHT, DARK, Site, picture, until

from inspectd import config
from inspectd.domain import Stat
from inspectd.ledger.database import open_writer, upgrade
from inspectd.ledger.records import Arrival, Claim, Counts
from inspectd.ledger.write.queue import Queue
from inspectd.model.null import NullInspector, write_null_bundle
from inspectd.vision.decode import Pages
from inspectd.worker import batch as way
from inspectd.worker import judge, slots, worker
from inspectd.worker.batch import Batch
from inspectd.worker.channel import WorkerChannel
from inspectd.worker.judge import Judge, Prepared
from inspectd.worker.slots import BATCHES
from inspectd.worker.source import Source
from inspectd.worker.worker import Worker


@pytest.fixture
def site(site: Site) -> Site:
    site.write({"after": "move", "move_to": "archive/{verdict}"})
    return site


def queued(site: Site, watches: dict[str, int]) -> Queue:
    """A new ledger in which so many good images of each watch are queued."""
    url = f"sqlite:///{site.root / 'inspectd.db'}"
    upgrade(url)
    queue = Queue(open_writer(url))
    for watch, count in watches.items():
        (folder,) = [each.path for each in config.load(site.config).watch if each.name == watch]
        paths = [folder / f"{number}.png" for number in range(count)]
        for number, path in enumerate(paths):
            path.write_bytes(picture(DARK, seed=number))
        queue.arrivals.enqueue(watch, [Arrival(path.name, Stat.of(path.stat())) for path in paths])
    return queue


def test_a_batch_too_large_for_the_memory_is_judged_in_halves(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = queued(site, {"line": 12})
    inspect = NullInspector.inspect
    sizes = []

    def scarce(self: NullInspector, images: Any) -> Any:
        sizes.append(len(images))
        if len(images) > 1:
            raise MemoryError
        return inspect(self, images)

    work_off(config.load(site.config), queue, lambda: monkeypatch.setattr(NullInspector, "inspect", scarce))
    assert 1 <= sizes.count(4) <= BATCHES
    assert sizes[-4:] == [1, 1, 1, 1], "once a batch was too large, no later one is"
    assert site.rows("select verdict, count(*) from verdicts group by 1") == [("ok", 12)]
    assert site.rows("select count(*) from inspections") == [(12,)]


def test_a_verdict_never_falls_on_another_file_whatever_happens_after_a_fold(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch folds its newest image and runs out of memory; a file that comes meanwhile is in the other hand."""
    queue = queued(site, {"line": 2})
    work_off(config.load(site.config), queue)
    for name, level in (("new.png", DARK), ("1.png", DARK)):  # the second as before, under a new time
        path = site.drop(name, picture(level, seed=1 if name == "1.png" else 7))
        queue.arrivals.enqueue("line", [Arrival(name, Stat.of(path.stat()))])
    subject = Worker(config.load(site.config), queue, cast(WorkerChannel, StubLine()))
    inspect = NullInspector.inspect
    other: list[Claim] = []

    def scarce(self: NullInspector, images: Any) -> Any:
        if other:
            return inspect(self, images)
        path = site.drop("bright.png", picture(BRIGHT))
        queue.arrivals.enqueue("line", [Arrival("bright.png", Stat.of(path.stat()))])
        other.extend(queue.claims.take("me", ["line"], 4, 60.0) or [])
        raise MemoryError

    with ThreadPoolExecutor(2) as pool:
        (lane,) = subject.open_lanes(pool)
        monkeypatch.setattr(NullInspector, "inspect", scarce)
        held = subject._claim(deque([lane])) or pytest.fail("nothing was claimed")
        _, folded = held.claims
        counts = [subject._go(held), subject._go(Batch(lane, other))]
    assert counts == [1, 1], "new.png and bright.png; 1.png is folded"
    assert dict(site.rows()) == {"0.png": "ok", "1.png": "ok", "new.png": "ok", "bright.png": "defect"}
    assert site.rows("select count(*) from inspections") == [(4,)]
    assert folded.image_id not in {id for (id,) in site.rows("select id from images")}, "an id is given once"


def test_an_image_that_finds_no_memory_to_be_drawn_is_judged_with_fewer_beside_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pixels of large images are not kept for their overlays, but decoded again."""
    queue = queued(site, {"line": 4})
    times = Counter[bytes]()

    def scarce(data: bytes, most: int, bits: int) -> Pages:
        times[data] += 1
        if times.total() == 5:  # the first that is decoded again
            raise MemoryError
        return Pages(data, most, bits)

    monkeypatch.setattr(judge, "PIXELS_KEPT", 0)
    monkeypatch.setattr(judge, "Pages", scarce)
    work_off(config.load(site.config), queue)
    assert max(times.values()) > 2
    assert site.rows("select verdict, count(*) from verdicts group by 1") == [("ok", 4)]


def test_an_image_for_which_memory_is_short_for_a_while_does_not_fail(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = queued(site, {"line": 1})
    shortages = iter(range(3))

    def scarce(data: bytes, most: int, bits: int) -> Pages:
        if next(shortages, None) is not None:
            raise MemoryError
        return Pages(data, most, bits)

    def is_done() -> bool:
        counts = queue.open_count(["line"])
        return not counts.queued and not counts.claimed

    monkeypatch.setattr(judge, "Pages", scarce)
    path = site.incoming / "0.png"
    for _ in range(3):
        work_off(config.load(site.config), queue, line=StubLine(is_done))
        assert site.rows("select state, substr(reason, 1, 9) from images") == [("settling", "no memory")]
        queue.arrivals.enqueue("line", [Arrival(path.name, Stat.of(path.stat()))])  # as ingest does after a while
    work_off(config.load(site.config), queue)
    assert site.rows("select verdict from verdicts") == [("ok",)]


def test_the_network_has_one_batch_at_a_time_while_the_next_is_decoded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = queued(site, {"line": 12})
    inspect, prepare = NullInspector.inspect, Judge.prepare
    decoded: list[int] = []
    judged: list[int] = []
    device = Lock()

    def counted(self: Judge, claim: Claim, source: Source) -> Prepared:
        prepared = prepare(self, claim, source)
        decoded.append(claim.image_id)
        return prepared

    def slow(self: NullInspector, images: Any) -> Any:
        assert device.acquire(blocking=False), "two batches in the network"
        until(lambda: len(decoded) >= min(12, sum(judged) + 8), "the next batch, decoded beside this one")
        judged.append(len(images))
        device.release()
        return inspect(self, images)

    def patch() -> None:
        monkeypatch.setattr(Judge, "prepare", counted)
        monkeypatch.setattr(NullInspector, "inspect", slow)

    work_off(config.load(site.config), queue, patch)
    assert judged == [4, 4, 4]
    assert sorted(decoded) == list(range(1, 13)), "each is read once"
    assert site.rows("select verdict, count(*) from verdicts group by 1") == [("ok", 12)]


def test_a_batch_that_hangs_is_not_hidden_by_the_one_that_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PULSE", 0)
    queue = queued(site, {"line": 24})
    line = StubLine(lambda: queue.open_count(["line"]) == Counts())
    prepare = Judge.prepare
    heard: list[float] = []

    def hangs(self: Judge, claim: Claim, source: Source) -> Prepared:
        if claim.image_id == 4:  # until all the others are judged, by the other hand
            until(lambda: queue.open_count(["line"]).claimed == 4 and queue.open_count(["line"]).queued == 0, "others")
            heard.append(line.quiet)
        return prepare(self, claim, source)

    began = time.monotonic()
    work_off(config.load(site.config), queue, lambda: monkeypatch.setattr(Judge, "prepare", hangs), line)
    assert heard[0] > 0, "the other gave signs of life, and each told of the silence of this one"
    assert heard[0] < time.monotonic() - began
    assert line.quiet < heard[0]


def test_who_waits_for_the_network_or_the_pool_gives_signs_of_life(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (slots, way):
        monkeypatch.setattr(module, "PULSE", 0.01)
    monkeypatch.setattr(worker, "PULSE", 0)
    queue = queued(site, {"line": 8})
    line = StubLine(lambda: queue.open_count(["line"]) == Counts())
    inspect = NullInspector.inspect
    first = Lock()

    def slow(self: NullInspector, images: Any) -> Any:
        if first.acquire(blocking=False):
            until(lambda: queue.open_count(["line"]).claimed == 8, "the other batch in hand")
            before = line.said
            until(lambda: line.said > before + 20, "signs of life of the one that waits")
        return inspect(self, images)

    work_off(config.load(site.config), queue, lambda: monkeypatch.setattr(NullInspector, "inspect", slow), line)
    assert site.rows("select verdict, count(*) from verdicts group by 1") == [("ok", 8)]


def test_an_image_that_must_be_alone_has_its_turn_whatever_other_models_have_to_do(site: Site) -> None:
    write_null_bundle(site.root / "models" / "other")
    (site.root / "busy").mkdir()
    settings = yaml.safe_load(site.config.read_text())
    settings["watch"].append(settings["watch"][0] | {"name": "busy", "path": "busy", "model": "models/other"})
    site.config.write_text(yaml.safe_dump(settings))
    queue = queued(site, {"line": 2, "busy": 40})
    queue.claims.take("dead", ["line"], 2, 60.0)
    queue.claims.release("dead", died=True)
    subject = Worker(config.load(site.config), queue, cast(WorkerChannel, StubLine()))
    with ThreadPoolExecutor(2) as pool:
        turns = deque(reversed(subject.open_lanes(pool)))
        for held in ("busy", "line", "busy", "line"):
            batch = subject._claim(turns) or pytest.fail("nothing was claimed")
            assert {claim.watch for claim in batch.claims} == {held}
            assert subject._claim(turns) is None, "the other hand stays empty until this one is"
            subject._go(batch)
        assert all([subject._claim(turns), subject._claim(turns)]), "both hands are busy again"
