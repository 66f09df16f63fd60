"""The audit trail beside the log: whatever is done to a daemon, every row of `events` has its line."""

import json
import os
import signal
from typing import Any

from support.site import DARK, Daemon, Site, picture, until


def trouble(site: Site, *arguments: str) -> Daemon:
    """A daemon that has lived through a start, a verdict, two reloads, a dead worker, and a stop."""
    daemon = site.start(*arguments)
    daemon.heard("READY=1")
    site.drop("a.png", picture(DARK))
    site.outcomes(1)
    site.refuse(daemon)
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: site.rows("select 1 from events where kind = 'reload'"), "the reload")
    until(lambda: len(daemon.workers()) == 1, "the first worker has gone")
    os.kill(daemon.worker(), signal.SIGKILL)
    until(lambda: site.rows("select 1 from events where kind = 'worker-died'"), "the worker's death")
    until(lambda: len(site.rows("select 1 from events where kind = 'ready'")) == 3, "the next worker")
    assert daemon.stop() == 0
    return daemon


def rows(site: Site) -> list[tuple[Any, ...]]:
    return site.rows("select kind, detail from events order by id")


def test_json_lines_and_rows_tell_the_same_story(site: Site) -> None:
    daemon = trouble(site, "--log-format", "json")
    lines = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    assert [(line["event"], line["message"]) for line in lines if line["event"]] == rows(site)
    assert {line["room"] for line in lines if line["event"]} == {"events"}
    ready = next(line for line in lines if line["event"] == "ready")
    assert (ready["device"], ready["precision"]) == ("cpu", "float32")
    assert ready["models"][0].startswith("null@")
    died = next(line for line in lines if line["event"] == "worker-died")
    assert (died["exit"], died["level"]) == (-signal.SIGKILL, "warning")


def test_so_do_the_lines_for_people(site: Site) -> None:
    text = trouble(site).log.read_text()
    for kind, detail in rows(site):
        assert f" events: {kind}: {detail}" in text
