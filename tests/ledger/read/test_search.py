"""Searching the ledger: every filter and its plan, one image in full, and following new outcomes."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text
from support.plans import plans
from support.queueing import arrivals, inspected, stat

from inspectd.ledger.database import open_reader
from inspectd.ledger.read import filters
from inspectd.ledger.read.filters import Filter
from inspectd.ledger.read.search import Follower, image_ids, results, show
from inspectd.ledger.records import Failed
from inspectd.ledger.schema import reviews
from inspectd.ledger.write.queue import Queue


def at(hour: int) -> datetime:
    return datetime(2026, 11, 23, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Filter(), [6, 5, 4, 3, 2, 1]),
        (Filter(limit=2), [6, 5]),
        (Filter(limit=0), []),
        (Filter(watch="line"), [4, 3, 2, 1]),
        (Filter(part="p1"), [5, 2]),
        (Filter(part="p1", watch="line"), [2]),
        (Filter(verdict="ok"), [5, 1]),
        (Filter(verdict="defect"), [2]),
        (Filter(verdict="review"), [3]),
        (Filter(verdict="failed"), [4]),
        (Filter(verdict="pending"), [6]),
        (Filter(label="crack"), [3, 2]),
        (Filter(model="demo"), [3, 2, 1]),
        (Filter(model="press-model@cdcd"), [5]),
        (Filter(model="press-model@ab"), []),
        (Filter(score_min=0.2, score_max=0.5), [5, 3]),
        (Filter(since=at(12)), [6, 5, 4, 3]),
        (Filter(until=at(12)), [2, 1]),
        (Filter(since=at(13), until=at(14)), [4]),
        (Filter(path="crack-1.png"), [2]),
        (Filter(path="*ok-1.png"), [5, 1]),
        (Filter(path="sub/*"), [5]),
        (Filter(path="[!o]*-?.png"), [5, 3, 2]),
        (Filter(path="OK*"), []),
    ],
)
def test_filters(reader: Engine, wanted: Filter, ids: list[int]) -> None:
    assert [row.id for row in results(reader, wanted)] == ids


def test_a_row_reads_as_in_the_view(reader: Engine) -> None:
    with reader.connect() as connection:
        view = {tuple(row) for row in connection.execute(text("SELECT * FROM verdicts"))}
    rows = list(results(reader, Filter()))
    assert {tuple(vars(row).values())[1:] for row in rows} == view
    assert (rows[-2].verdict, rows[-2].model, rows[-2].inspected_at) == (
        "defect",
        "demo@abababab",
        "2026-11-23T11:30:00.000Z",
    )


def test_results_come_in_pages_without_a_gap(url: str, queue: Queue) -> None:
    for start in range(0, 1_500, 500):
        queue.arrivals.enqueue("line", arrivals(500, start))
    rows = results(open_reader(url), Filter(limit=1_200))
    assert [row.id for row in rows] == list(range(1_500, 300, -1))


def test_what_waits_comes_first_then_the_newest_outcome(url: str, queue: Queue, model: int) -> None:
    queue.arrivals.enqueue("line", arrivals(6))
    claims = queue.claims.take("w", ["line"], 4, 60)
    for number in (2, 0, 3):  # not in the order of their arrival
        queue.outcomes.finish("w", model, [inspected(claims[number])])
    ids = [row.id for row in results(open_reader(url), Filter())]
    assert ids[:3] == [6, 5, 2]
    assert set(ids[3:]) == {4, 1, 3}
    rows = list(results(open_reader(url), Filter(limit=5)))
    assert [row.id for row in rows] == ids[:5]
    assert [row.inspected_at for row in rows[3:]] == sorted((row.inspected_at for row in rows[3:]), reverse=True)


IN_TIME = "images_finished (finished_at>? AND finished_at<?)"


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(), "images_finished"),
        (Filter(since=at(10), until=at(12)), IN_TIME),
        (Filter(watch="line"), "images_finished"),
        (Filter(watch="line", since=at(10), until=at(12)), IN_TIME),
        (Filter(verdict="defect"), "images_verdict (verdict=?)"),
        (
            Filter(verdict="ok", since=at(10), until=at(12)),
            "images_verdict (verdict=? AND finished_at>? AND finished_at<?)",
        ),
        (Filter(verdict="failed", watch="line"), "images_watch (watch=? AND verdict=?)"),
        (
            Filter(verdict="ok", watch="line", since=at(10), until=at(12)),
            "images_watch (watch=? AND verdict=? AND finished_at>? AND finished_at<?)",
        ),
    ],
)
def test_the_newest_are_found_in_the_order_of_an_index(reader: Engine, wanted: Filter, index: str) -> None:
    *_, pending, judged = plans(reader, lambda: image_ids(reader, replace(wanted, limit=51)))
    assert f"SEARCH images USING INDEX {index}" in judged or f"COVERING INDEX {index}" in judged
    assert "B-TREE" not in judged, "the newest come first, without sorting"
    assert "images_state" in pending or wanted.verdict


@pytest.mark.parametrize("more", [{}, {"watch": "line", "verdict": "ok", "since": at(10), "until": at(12)}])
@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(part="p1"), "images_part (part=?)"),
        (Filter(path="crack-1.png"), "images_path (path=?)"),
        (Filter(path="sub/*"), "images_path (path>? AND path<?)"),
        (Filter(path="*crack*"), "images_path (path>? AND path<?)"),
        (Filter(model="demo"), "inspections_model (model_id=?)"),
        (Filter(label="crack"), "inspections_label (label=?)"),
        (Filter(label="crack", score_min=0.6), "inspections_label (label=?)"),
        (Filter(score_max=0.6), "inspections_label"),
        (Filter(part="p1", path="sub/*", model="demo"), "images_part (part=?)"),
    ],
)
def test_few_images_are_named_by_an_index_and_looked_up(
    reader: Engine, wanted: Filter, index: str, more: dict[str, Any]
) -> None:
    sought, pending, judged = plans(reader, lambda: image_ids(reader, replace(wanted, **more, limit=51)))
    assert f"COVERING INDEX {index}" in sought
    for plan in (judged,) if more or wanted.is_about_inspections else (pending, judged):
        assert plan.startswith("SEARCH images USING INTEGER PRIMARY KEY (rowid=?)")


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(path="*"),
        Filter(path="*1.png"),
        Filter(part="p1"),
        Filter(model="demo", until=at(13)),
        Filter(label="crack", until=at(13)),
        Filter(path="*", watch="line"),
    ],
)
def test_what_names_many_images_goes_in_the_order_of_time(
    reader: Engine, monkeypatch: pytest.MonkeyPatch, wanted: Filter
) -> None:
    found = image_ids(reader, wanted)
    monkeypatch.setattr(filters, "CHUNK", 0)
    monkeypatch.setattr(filters, "FEW", 1)
    judged = plans(reader, lambda: image_ids(reader, replace(wanted, limit=51)))[-1]
    assert "images_finished" in judged
    assert "B-TREE" not in judged
    assert image_ids(reader, wanted) == found


@pytest.mark.parametrize(
    ("wanted", "looked_up"),
    [
        (Filter(path="[cd]*"), True),
        (Filter(path="[cd]*", limit=1), True),
        (Filter(path="[cd]*", verdict="defect"), False),
        (Filter(path="[cd]*", until=at(12), limit=1), False),
        (Filter(path="sub/*"), False),
        (Filter(model="demo"), True),
        (Filter(score_min=0.5), True),
        (Filter(score_min=0.1), False),
        (Filter(path="*-1.png", label="crack", score_min=0.6), True),
    ],
)
def test_are_looked_up_where_they_are_fewer_than_what_is_read_to_find_them_by_time(
    reader: Engine, monkeypatch: pytest.MonkeyPatch, wanted: Filter, looked_up: bool
) -> None:
    found = image_ids(reader, wanted)
    monkeypatch.setattr(filters, "FEW", 1)
    monkeypatch.setattr(filters, "CHUNK", 0)
    judged = plans(reader, lambda: image_ids(reader, wanted))[-1]
    assert ("SEARCH images USING INTEGER PRIMARY KEY" in judged and "LIST SUBQUERY" in judged) == looked_up
    assert image_ids(reader, wanted) == found


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("verdict = 'defect'", "images_verdict (verdict=?)"),
        ("part = 'p1'", "images_part (part=?)"),
        ("path = 'crack-1.png'", "images_path (path=?)"),
        ("sha256 = 'ab'", "images_sha256 (sha256=?)"),
        ("inspected_at >= '2026-11-23' and inspected_at < '2026-11-24'", IN_TIME),
        ("label = 'crack' and inspected_at >= '2026-11-23' and inspected_at < '2026-11-24'", IN_TIME),
    ],
)
def test_a_condition_on_the_view_reaches_an_index(reader: Engine, condition: str, index: str) -> None:
    with reader.connect() as connection:
        query = f"EXPLAIN QUERY PLAN SELECT * FROM verdicts WHERE {condition}"
        plan = " / ".join(row[3] for row in connection.exec_driver_sql(query))
    assert index in plan
    assert "SCAN images" not in plan


def test_the_newest_of_the_view_come_in_the_order_of_an_index(reader: Engine) -> None:
    where = "verdict = 'defect' AND watch = 'line' ORDER BY inspected_at DESC LIMIT 5"
    with reader.connect() as connection:
        query = f"EXPLAIN QUERY PLAN SELECT inspected_at, path, score FROM verdicts WHERE {where}"
        plan = [row[3] for row in connection.exec_driver_sql(query)]
    judged, pending = plan[: plan.index("RIGHT")], plan[plan.index("RIGHT") :]
    assert "SEARCH images USING INDEX images_watch (watch=? AND verdict=?)" in judged
    assert "USE TEMP B-TREE FOR ORDER BY" not in judged
    assert "SEARCH images USING INDEX images_state (state=? AND watch=?)" in pending


def test_show_finds_an_image_by_id_part_path_and_name(reader: Engine) -> None:
    assert [detail.row.id for detail in show(reader, "2")] == [2]
    assert [detail.row.id for detail in show(reader, "p1")] == [5, 2]
    assert [detail.row.id for detail in show(reader, "p1", watch="line")] == [2]
    assert [detail.row.id for detail in show(reader, "sub/ok-1.png")] == [5]
    assert [detail.row.id for detail in show(reader, "ok-1.png")] == [1]
    assert [detail.row.id for detail in show(reader, "ok-1.png", watch="press")] == [5]
    assert show(reader, "99999999999999999999") == []


def test_show_tells_everything(reader: Engine, engine: Engine) -> None:
    with engine.begin() as connection:
        for reviewed_as in ("ok", "defect"):
            values = {"reviewed_at": "2026-11-24T08:00:00.000Z", "reviewer": "Ada", "note": None}
            connection.execute(insert(reviews).values(image_id=2, reviewed_as=reviewed_as, **values))
    (detail,) = show(reader, "crack-1.png")
    assert (detail.row.reviewed_as, [review.reviewed_as for review in detail.reviews]) == ("defect", ["ok", "defect"])
    assert (detail.state, detail.stat, detail.fields, detail.attempt) == ("done", stat(1), {"part": "p1"}, 1)
    (judged,) = detail.inspections
    assert (judged.verdict, judged.label, judged.score, judged.logits) == ("defect", "crack", 0.9, [1.5, -2.5])
    assert (judged.model, judged.version, judged.bundle, judged.classes) == (
        "demo@abababab",
        1,
        "ab" * 32,
        ["ok", "crack"],
    )
    assert judged.regions == [{"x": 1, "y": 2, "width": 3, "height": 4, "peak": 0.5}]


def test_a_follower_tells_each_outcome_once_and_oldest_first(reader: Engine, queue: Queue, model: int) -> None:
    follower = Follower(reader, Filter(watch="line"))
    assert follower.poll() == []
    queue.arrivals.enqueue("line", arrivals(4))
    claims = queue.claims.take("w", ["line"], 4, 60)
    queue.outcomes.finish("w", model, [inspected(claims[2])])
    queue.outcomes.finish("w", model, [inspected(claims[0])])  # an earlier arrival that is finished later
    assert [row.path for row in follower.poll()] == [claims[2].path, claims[0].path]
    assert follower.poll() == []
    queue.outcomes.finish("w", model, [inspected(claims[1]), Failed(claims[3], "truncated: short")])
    assert [row.verdict for row in follower.poll()] == ["ok", "failed"]
    assert follower.poll() == []
