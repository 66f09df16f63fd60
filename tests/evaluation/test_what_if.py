"""Past verdicts under other thresholds, on a real ledger that is filled as a worker fills it."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, insert, select, update
from support.queueing import arrivals, inspected, sha256

from inspectd.domain import Verdict
from inspectd.evaluation.what_if import Errors, Replayed, decide_all, what_if
from inspectd.ledger.database import open_reader, open_writer, upgrade
from inspectd.ledger.read.filters import Span
from inspectd.ledger.read.replay import PAGE
from inspectd.ledger.records import Replay
from inspectd.ledger.schema import images, inspections, reviews
from inspectd.ledger.write.queue import Queue
from inspectd.model.spec import Thresholds
from inspectd.model.verdict import decide

IN_FORCE = Thresholds(0.0)


class Site:
    """A ledger with one watch and one model of two classes, softmax: the margin is the second logit less the first."""

    def __init__(self, root: Path) -> None:
        self.url = f"sqlite:///{root / 'inspectd.db'}"
        upgrade(self.url)
        self.engine = open_writer(self.url)
        self.queue = Queue(self.engine)
        self.model = self.register("aa", Replay((True, False), "softmax", {}))

    def register(self, bundle: str, replay: Replay | None = None) -> int:
        return self.queue.register_model(bundle * 32, "screws", 1, ["good", "crack"], {}, replay)

    def judge(self, margins: Sequence[float], model: int | None = None, watch: str = "line", **more: object) -> None:
        """Images with these margins, judged as the thresholds in force say; `more` are other fields of the record."""
        with self.engine.connect() as connection:
            start = len(connection.execute(select(images.c.id)).all())
        self.queue.arrivals.enqueue(watch, arrivals(len(margins), start))
        claims = self.queue.claims.take("w", [watch], len(margins), 60)
        outcomes = [
            replace(inspected(claim, decide(margin, IN_FORCE)), logits=(0.5, 0.5 + margin), **more)  # type: ignore[arg-type]
            for claim, margin in zip(claims, margins, strict=True)
        ]
        self.queue.outcomes.finish("w", self.model if model is None else model, outcomes)

    def review(self, image: int, word: str) -> None:
        with self.engine.begin() as connection:
            row = {"image_id": image, "reviewed_at": "", "reviewer": "Ada", "reviewed_as": word}
            connection.execute(insert(reviews), row)

    def replay(self, thresholds: Thresholds, span: Span | None = None, **of: str | None) -> list[Replayed]:
        return what_if(open_reader(self.url), thresholds, span or Span(), **of)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("thresholds", [Thresholds(0.5), Thresholds(0.5, -0.5), Thresholds(-1e9), Thresholds(1e9)])
def test_many_margins_are_decided_as_each_would_be(thresholds: Thresholds) -> None:
    margins = np.array([-3.0, -0.5, np.nextafter(-0.5, -1), 0.0, np.nextafter(0.5, 0), 0.5, 7.0, math.nan])
    assert list(decide_all(margins, thresholds)) == [str(decide(margin, thresholds)) for margin in margins]


def test_counts_the_verdicts_that_would_change(site: Site) -> None:
    site.judge([-5.0, -1.0, 1.0, 2.0, 8.0])
    [found] = site.replay(Thresholds(1.5))
    assert found.model == "screws@aaaaaaaa"
    assert dict(found.moves) == {("ok", "ok"): 2, ("defect", "ok"): 1, ("defect", "defect"): 2}
    assert (found.images, found.changed) == (5, 1)
    [found] = site.replay(Thresholds(5.0, -2.0))
    assert dict(found.moves) == {("ok", "ok"): 1, ("ok", "review"): 1, ("defect", "review"): 2, ("defect", "defect"): 1}


def test_the_thresholds_in_force_change_nothing(site: Site) -> None:
    site.judge(list(np.random.default_rng(5).normal(0, 3, 200)))
    [found] = site.replay(IN_FORCE)
    assert (found.images, found.changed) == (200, 0)


def test_what_no_threshold_decided_stays_for_review(site: Site) -> None:
    site.judge([-5.0], verdict=Verdict.REVIEW, reason="in doubt: the file ends in black rows")
    site.judge([math.nan])
    site.judge([-5.0], verdict=Verdict.REVIEW)  # two thresholds were in force
    [found] = site.replay(Thresholds(9.0))
    assert dict(found.moves) == {("review", "review"): 2, ("review", "ok"): 1}


def test_errors_are_told_from_what_people_last_said(site: Site) -> None:
    site.judge([-5.0, -1.0, 1.0, 2.0, 8.0, 9.0])
    for image, word in [(1, "crack"), (1, "good"), (2, "defect"), (3, "ok"), (4, "crack"), (5, "dirt on the lens")]:
        site.review(image, word)
    [found] = site.replay(Thresholds(1.5))
    assert (found.reviewed_as(good=True), found.reviewed_as(good=False)) == (2, 2)
    assert (found.before, found.after) == (Errors(1, 1), Errors(1, 0))
    [found] = site.replay(Thresholds(5.0, -2.0))
    assert found.after == Errors(0, 0)
    [found] = site.replay(Thresholds(5.0))
    assert found.after == Errors(2, 0)


def test_each_model_has_a_row_and_one_that_nobody_can_read_is_said(site: Site) -> None:
    site.judge([1.0])
    site.judge([1.0, 2.0], model=site.register("bb"))
    site.register("cc", Replay((True, False), "softmax", {}))
    first, second = site.replay(Thresholds(1.5))
    assert (first.model, first.images, first.unreadable) == ("screws@aaaaaaaa", 1, 0)
    assert (second.model, second.images, second.unreadable) == ("screws@bbbbbbbb", 0, 2)
    assert [each.model for each in site.replay(Thresholds(1.5), model="screws@bb")] == ["screws@bbbbbbbb"]
    assert len(site.replay(Thresholds(1.5), model="screws")) == 2
    assert site.replay(Thresholds(1.5), model="nuts") == []


def test_of_one_watch_and_of_some_time(site: Site) -> None:
    site.judge([1.0, 2.0])
    site.judge([3.0], watch="press")
    with site.engine.begin() as connection:
        old = update(inspections).where(inspections.c.image_id == 1)
        connection.execute(old.values(inspected_at="2026-01-01T00:00:00.000Z"))
    day = datetime(2026, 1, 2, tzinfo=UTC)
    for span, watch, wanted in [
        (Span(), "press", 1),
        (Span(), "line", 2),
        (Span(since=day), None, 2),
        (Span(until=day), None, 1),
    ]:
        assert [each.images for each in site.replay(Thresholds(1.5), span, watch=watch)] == [wanted]


def test_every_verdict_is_counted_once_however_many_share_a_moment(site: Site) -> None:
    number = 2 * PAGE + 17
    _many(site.engine, number, site.model)
    [found] = site.replay(Thresholds(number / 2))
    assert dict(found.moves) == {("ok", "ok"): math.ceil(number / 2), ("ok", "defect"): number // 2}


def _many(engine: Engine, number: int, model: int) -> None:
    """Verdicts in bulk, hundreds of them in each millisecond; the margin of each is its number."""
    image = {
        **{"watch": "line", "size": 1, "mtime_ns": 1, "seen_at": "", "fields": {}, "state": "done", "attempt": 1},
        **{"alone": False, "deaths": 0},
    }
    verdict = {
        **{"model_id": model, "verdict": "ok", "label": "good", "score": 0.1, "thresholds": {}, "regions": []},
        **{"timings": {}, "precision": "float32", "device": "cpu", "software": ""},
    }
    times = [f"2026-11-23T10:00:00.{at:03}Z" for at in np.random.default_rng(1).integers(0, 30, number)]
    with engine.begin() as connection:
        connection.execute(
            insert(images),
            [{**image, "id": i, "path": f"{i}.png", "ctime_ns": i, "sha256": sha256(i)} for i in range(1, number + 1)],
        )
        connection.execute(
            insert(inspections),
            [
                {**verdict, "id": i, "image_id": i, "inspected_at": times[i - 1], "logits": [0.0, float(i - 1)]}
                for i in range(1, number + 1)
            ],
        )
