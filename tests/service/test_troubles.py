"""Troubles that are not a disk's: a damaged bundle, a locked ledger, a worker that hangs or is crashed by an image."""

import os
import resource
import signal
import sqlite3
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.site import BRIGHT, DARK, Site, picture, with_work_in_hand

POISON = 5000  # pixels a side: some 150 MB to decode, 380 MB to draw
GRANTED = 250 << 20  # bytes


def test_a_bundle_damaged_while_running_holds_up_only_the_next_worker(site: Site) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    bundle = site.root / "models/null/bundle.yaml"
    whole = bundle.read_text()
    bundle.write_text("format: 1\n")
    site.drop("before.png", picture(DARK))
    assert site.outcomes(1) == {"before.png": "ok"}, "the worker in service goes on with what it has loaded"
    os.kill(daemon.worker(), signal.SIGKILL)
    daemon.heard(f"no new work: {site.root / 'models/null'}")
    site.drop("since.png", picture(BRIGHT))
    daemon.heard("1 queued")
    bundle.write_text(whole)
    assert site.outcomes(2)["since.png"] == "defect"
    assert daemon.stop() == 0


@pytest.mark.long
def test_a_ledger_locked_for_30_seconds_is_waited_for(site: Site) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    worker = daemon.worker()
    with sqlite3.connect(site.root / "inspectd.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        site.drop("a.png", picture(BRIGHT))
        for _ in range(3):  # each after ten seconds of waiting for the lock
            daemon.heard("is locked by another program")
        other.execute("ROLLBACK")
    assert site.outcomes(1) == {"a.png": "defect"}
    assert daemon.worker() == worker, "a locked ledger is no hang"
    assert site.rows("select count(*) from inspections") == [(1,)]


@pytest.mark.long
def test_a_worker_that_hangs_is_killed_and_its_images_are_judged_once_each(site: Site) -> None:
    site.write(worker={"batch": 8})
    daemon = site.start()
    daemon.heard("READY=1")
    expected = {}
    for number in range(100):
        level = BRIGHT if number % 3 == 0 else DARK
        site.drop(f"{number}.png", picture(level, seed=number))
        expected[f"{number}.png"] = "defect" if level == BRIGHT else "ok"
    hung = with_work_in_hand(daemon, site)
    held = {path for (path,) in site.rows("select path from images where state = 'claimed'")}
    started = time.monotonic()
    daemon.heard(f"no new work: worker {hung} silent for 30 s: killed and replaced")
    assert time.monotonic() - started >= 29, "killed before its patience was over"
    assert site.outcomes(100) == expected
    assert daemon.worker() != hung
    assert site.rows("select count(*) from inspections") == [(100,)]
    assert {path for (path,) in site.rows("select path from images where attempt > 1")} == held
    ((detail,),) = site.rows("select detail from events where kind = 'hang'")
    assert detail == f"worker {hung} silent for 30 s: killed and replaced"
    assert site.rows("select kind from events where kind in ('worker-died', 'lease-expired')") == []
    assert daemon.stop() == 0


@pytest.mark.long
def test_an_image_that_crashes_the_worker_fails_alone(site: Site) -> None:
    """A real one: it can be decoded, but its overlay needs more memory than the system grants a process."""
    site.write(worker={"batch": 8})
    daemon = site.start()
    daemon.heard("READY=1")
    worker = daemon.worker()
    status = Path(f"/proc/{worker}/status").read_text()
    (data,) = (int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmData:"))
    for process in (worker, daemon.process.pid):  # and so every later worker
        resource.prlimit(process, resource.RLIMIT_DATA, (data + GRANTED, data + GRANTED))
    for number in range(30):
        site.drop(f"{number}.png", picture(DARK, seed=number))
        if number == 10:
            site.drop("poison.png", cv2.imencode(".png", np.full((POISON, POISON), BRIGHT, np.uint8))[1].tobytes())
    verdicts = site.outcomes(31)
    assert verdicts == {f"{number}.png": "ok" for number in range(30)} | {"poison.png": "failed"}
    assert site.rows("select path, reason from images where state = 'failed'") == [
        ("poison.png", "crashes the worker: 3 workers died while they held nothing but this image")
    ]
    assert site.rows("select count(*) from inspections") == [(30,)]
    assert daemon.stop() == 0
    deaths = site.rows("select detail from events where kind = 'worker-died'")
    assert set(deaths) == {("worker ended in service (exit 1)",)}
