"""Troubles that are not a disk's: a bundle damaged under a running daemon, a ledger that another program holds."""

import os
import signal
import sqlite3

import pytest
from support.site import BRIGHT, DARK, Site, picture


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
