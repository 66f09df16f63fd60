"""Metrics: a real daemon, scraped as Prometheus scrapes it, against what was dropped and what was done to it."""

import os
import re
import signal
import socket
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.site import BRIGHT, DARK, Daemon, Site, picture, stopped, until

from inspectd.ingest.gate import Counters
from inspectd.ledger import trail
from inspectd.ledger.read.feed import Backlog, News, NewVerdict
from inspectd.service.metrics.counters import Metrics, ServiceState
from inspectd.worker.channel import Ready

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"

Scrape = dict[tuple[str, frozenset[tuple[str, str]]], float]


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def images(outcome: str, watch: str = "line") -> tuple[str, frozenset[tuple[str, str]]]:
    return key("inspectd_images_total", watch=watch, outcome=outcome)


def text(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        body: str = answer.read().decode()
        return body


def scrape(port: int) -> Scrape:
    return {
        key(sample.name, **sample.labels): sample.value
        for family in text_string_to_metric_families(text(port))
        for sample in family.samples
    }


def comes(port: int, wanted: Scrape) -> Scrape:
    """Wait until a scrape has these values; all of it."""

    def look() -> Scrape | None:
        found = scrape(port)
        return found if {name: found.get(name) for name in wanted} == wanted else None

    found: Scrape = until(look, f"{wanted}, but {scrape(port)}")
    return found


@pytest.fixture
def port() -> int:
    """A port that is free."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        free: int = one.getsockname()[1]
        return free


def measured(site: Site, port: int) -> Daemon:
    site.write(metrics={"port": port})
    daemon = site.start()
    daemon.heard("READY=1")
    until(lambda: f"metrics: http://127.0.0.1:{port}/metrics" in daemon.log.read_text(), "the endpoint")
    return daemon


def test_what_was_dropped_is_what_is_counted(site: Site, port: int) -> None:
    measured(site, port)
    first = comes(port, {key("inspectd_ready"): 1})
    assert {first[images(outcome)] for outcome in ("ok", "defect", "review", "failed")} == {0}
    for number in range(20):
        site.drop(f"{number}.png", picture(BRIGHT if number < 5 else DARK, seed=number))
    site.drop("no.png", b"no image")
    whole = picture(DARK, size=64)
    site.drop("cut.png", whole[: len(whole) // 2])
    site.outcomes(22)
    found = comes(port, {images("ok"): 15, images("defect"): 5, images("review"): 0, images("failed"): 2})
    assert found[key("inspectd_failures_total", watch="line", reason="not an image")] == 1
    assert found[key("inspectd_failures_total", watch="line", reason="truncated")] == 1
    for stage in ("decode", "prepare", "infer", "overlay"):
        assert found[key("inspectd_stage_seconds_count", stage=stage)] == 20
        stored = site.rows(f"select sum(json_extract(timings, '$.{stage}')) / 1000 from inspections")[0][0]
        assert found[key("inspectd_stage_seconds_sum", stage=stage)] == pytest.approx(stored)
    assert found[key("inspectd_latency_seconds_count", watch="line")] == 20
    batches = site.rows("select count(distinct inspected_at) from inspections")[0][0]
    assert found[key("inspectd_batch_images_count")] == batches
    assert found[key("inspectd_batch_images_sum")] == 20
    assert found[key("inspectd_queue_images", watch="line", state="queued")] == 0
    [(model,)] = site.rows("select distinct model from verdicts where model is not null")
    assert found[key("inspectd_model_info", model=model, device="cpu", precision="float32")] == 1
    for place in ("output", "ledger"):
        assert found[key("inspectd_disk_free_bytes", place=place)] > 0
        assert found[key("inspectd_disk_free_inodes", place=place)] > 0


def test_kills_count_nothing_twice_and_are_counted(site: Site, port: int) -> None:
    daemon = measured(site, port)
    for number in range(60):
        site.drop(f"{number}.png", picture(DARK, seed=number))
        if number == 30:
            os.kill(daemon.worker(), signal.SIGKILL)
    site.outcomes(60)
    wanted = {images("ok"): 60.0, key("inspectd_worker_restarts_total", kind="died"): 1.0}
    comes(port, wanted | {key("inspectd_ready"): 1.0})
    daemon.kill()
    until(lambda: not _answers(port), "the port is free")
    for number in range(60, 70):  # while nobody looks
        site.drop(f"{number}.png", picture(DARK, seed=number))
    measured(site, port)
    site.outcomes(70)
    found = comes(port, {images("ok"): 10.0})
    assert found[key("inspectd_worker_restarts_total", kind="died")] == 0


def test_what_waits_is_shown_and_grows_older(site: Site, port: int) -> None:
    daemon = measured(site, port)
    until(lambda: stopped(daemon.worker(), site), "a worker that stands still")
    for number in range(3):
        site.drop(f"{number}.png", picture(DARK, seed=number))
    queued = key("inspectd_queue_images", watch="line", state="queued")
    age = key("inspectd_oldest_queued_age_seconds", watch="line")
    before = comes(port, {queued: 3.0})
    until(lambda: scrape(port)[age] > before[age], "a greater age")
    os.kill(daemon.worker(), signal.SIGCONT)
    comes(port, {images("ok"): 3.0, queued: 0.0, age: 0.0})


def listening(daemon: Daemon) -> list[str]:
    """The addresses on which this process itself listens, as the kernel writes them."""
    proc = Path(f"/proc/{daemon.process.pid}")
    held = set()
    for link in (proc / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed: it listens to nobody
            held.add(str(link.readlink()))
    rows = [line.split() for name in ("tcp", "tcp6") for line in (proc / "net" / name).read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in held]


def test_a_port_that_is_taken_holds_up_nothing(site: Site, port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        site.write(metrics={"port": port})
        daemon = site.start()
        daemon.heard("READY=1")
        site.drop("a.png", picture(DARK))
        assert site.outcomes(1) == {"a.png": "ok"}
        sentence = f"port {port} on 127.0.0.1 is not available (Address already in use)"
        until(lambda: sentence in daemon.log.read_text(), "the sentence")
        assert len(site.rows("select 1 from events where kind = 'metrics'")) == 1
    assert daemon.process.poll() is None


def test_a_reload_turns_metrics_on_and_off_and_they_are_on_this_machine_alone(site: Site, port: int) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    assert listening(daemon) == []
    site.write(metrics={"port": port})
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: _answers(port), "an answer")
    assert listening(daemon) == [f"0100007F:{port:04X}"]
    site.drop("a.png", picture(DARK))
    comes(port, {images("ok"): 1.0})
    site.write()
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: not _answers(port), "nobody there")


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_scraper_that_says_nothing_or_nonsense_ends_nothing(site: Site, port: int) -> None:
    measured(site, port)
    with socket.create_connection(("127.0.0.1", port)) as rude:
        rude.sendall(b"\0\xff nonsense\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port)):  # and silence: the next has to wait, not for ever
        assert scrape(port)[key("inspectd_ready")] in (0, 1)


def test_the_table_names_every_metric_with_its_labels_and_no_other() -> None:
    rows = re.findall(r"^\| `(inspectd_\w+)` \| (\w+) \| (.*?) \|", DOCS.read_text(), re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    ready = Ready("cpu", "float32", ["null@12345678"], [1], ["/models/null"], 0.1)
    standing = ServiceState(datetime.now(UTC), ["line"], [], ready, {"line": Counters(1, 2, 3, 4)})
    metrics = Metrics({"output": Path("/")}, standing)
    verdict = NewVerdict("line", "ok", 0.5, {"infer": 0.1})
    events = (("hang", "worker 7"), ("lease-expired", trail.expired(3)), ("start", "no metric"))
    backlog = Backlog({("line", "queued"): 1}, {"line": standing.at})
    metrics.take(News((verdict,), (1,), (("line", "truncated"),), events, backlog, more=False), standing)
    collected = {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in metrics.registry.collect()
    }
    assert documented == collected
    assert metrics.registry.get_sample_value("inspectd_expired_leases_total") == 3
    assert metrics.registry.get_sample_value("inspectd_worker_restarts_total", {"kind": "hang"}) == 1
