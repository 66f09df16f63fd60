"""The unit under a real systemd: start, reload, kill, stop. The null network stands in for a real one."""

import json
import os
import signal
import time
from collections.abc import Mapping

import pytest
from support.service import SITE, Service
from support.site import BRIGHT, DARK, picture, until

pytestmark = pytest.mark.systemd


def pictures(start: int, count: int) -> Mapping[str, bytes]:
    return {
        f"{seed}.png": picture(BRIGHT if seed % 4 == 0 else DARK, seed=seed) for seed in range(start, start + count)
    }


def test_ready_only_when_a_model_is_loaded(service: Service) -> None:
    service.box.ask("systemctl", "start", "--no-block", "inspectd")
    worker = until(service.worker, "a worker process")
    os.kill(worker, signal.SIGSTOP)  # it never gets to load its model, ...
    assert "no model loaded yet" in service.says("watching line")
    assert service.show("ActiveState") == "activating"
    os.kill(worker, signal.SIGCONT)  # ... and now it does
    service.becomes("ActiveState", "active")
    assert "null" in service.says("watching line (inotify)")


def test_a_dropped_image_gets_its_verdict_and_overlay(service: Service) -> None:
    service.start()
    service.drop({"good.png": picture(DARK), "bad.png": picture(BRIGHT)})
    assert service.outcomes(2) == {"good.png": "ok", "bad.png": "defect"}
    [[overlay]] = service.rows("select overlay from verdicts where path = 'bad.png'")
    owner = service.box.ask("stat", "-c", "%U:%G %a", f"{SITE}/output/{overlay}", user="alice")
    assert owner == "inspectd:inspectd 660"


@pytest.mark.parametrize("mistake", ["a key", "a model"])
def test_a_configuration_error_is_78_without_a_restart(service: Service, mistake: str) -> None:
    service.drop_in("RestartSec=100ms")
    if mistake == "a key":
        service.configure({"backend": "telepathy"})
    else:
        service.box.write(f"{SITE}/models/null/bundle.yaml", "format: 1\n")
    assert service.box.run("systemctl", "start", "inspectd").returncode != 0
    # A restart that is still to come shows as activating, auto-restart.
    assert [service.show(key) for key in ("ActiveState", "SubState", "Result")] == ["failed", "failed", "exit-code"]
    assert [service.show(key) for key in ("ExecMainStatus", "NRestarts")] == ["78", "0"]
    assert {"a key": "backend", "a model": "models/null"}[mistake] in service.messages()


def test_reload_takes_a_good_configuration_and_refuses_a_bad_one(service: Service) -> None:
    service.start()
    service.configure({"backend": "telepathy"})
    service.box.ask("systemctl", "reload", "inspectd")
    assert "backend" in service.says("reload refused: ")
    service.drop({"meanwhile.png": picture(BRIGHT)})
    assert service.outcomes(1) == {"meanwhile.png": "defect"}, "the configuration before is in force"

    service.configure({"after": "move"})
    service.box.ask("systemctl", "reload", "inspectd")
    until(lambda: "refused" not in service.show("StatusText"), "the new configuration is taken")
    until(lambda: "configuration reloaded" in service.messages(), "and in force")
    service.drop({"moved.png": picture(DARK)})
    assert service.outcomes(2)["moved.png"] == "ok"
    archived = f"find {SITE}/archive/line/ok -name moved.png -printf '%u:%g'"
    until(lambda: service.box.ask("sh", "-c", archived, check=False), "alice's file in the archive")
    assert service.box.ask("sh", "-c", archived) == "alice:inspectd"
    assert service.show("NRestarts") == "0"


def test_the_watchdog_replaces_a_hung_supervisor_and_no_image_is_lost(service: Service) -> None:
    service.drop_in("WatchdogSec=3", "RestartSec=100ms")
    service.start()
    service.drop(pictures(0, 40))
    hung = service.supervisor()
    assert hung
    os.kill(hung, signal.SIGSTOP)
    service.drop(pictures(40, 40))
    service.becomes("NRestarts", "1")
    service.becomes("ActiveState", "active")
    assert service.supervisor() != hung
    service.drop(pictures(80, 10))
    assert list(service.outcomes(90).values()).count("defect") == 23
    assert "Watchdog timeout" in service.messages()


def test_sigkill_is_followed_by_a_restart_and_no_image_is_lost(service: Service) -> None:
    service.drop_in("RestartSec=100ms")
    service.start()
    service.drop(pictures(0, 60))
    until(lambda: service.rows("select 1 from inspections limit 1"), "the first verdict")
    killed, worker = service.supervisor(), service.worker()
    assert killed
    os.kill(killed, signal.SIGKILL)
    service.drop(pictures(60, 20))
    service.becomes("NRestarts", "1")
    service.becomes("ActiveState", "active")
    assert list(service.outcomes(80).values()).count("defect") == 20
    assert service.worker() != worker


def test_a_service_that_cannot_stay_up_is_given_up(service: Service) -> None:
    service.drop_in("RestartSec=100ms")
    service.box.run("systemctl", "start", "--no-block", "inspectd")
    for start in range(5):
        supervisor = until(service.supervisor, f"start {start + 1}")
        os.kill(supervisor, signal.SIGKILL)
        until(lambda gone=supervisor: service.supervisor() != gone, "its end")
    service.becomes("ActiveState", "failed")
    assert service.show("NRestarts") == "5"
    assert "Start request repeated too quickly" in service.messages()
    assert service.supervisor() is None


def test_stop_finishes_the_batch_in_hand_within_the_timeout(service: Service) -> None:
    service.start()
    service.drop(pictures(0, 300))
    until(lambda: service.rows("select 1 from inspections limit 1"), "the first verdict")
    begun = time.monotonic()
    service.box.ask("systemctl", "stop", "inspectd")
    assert time.monotonic() - begun < 30, "the supervisor's own patience, half of TimeoutStopSec"
    assert [service.show(key) for key in ("ActiveState", "Result", "ExecMainStatus")] == ["inactive", "success", "0"]
    assert service.box.processes("inspectd.service") == {}
    assert service.rows("select count(*) from images where state = 'claimed'") == [[0]]
    service.start()
    assert len(service.outcomes(300)) == 300


def test_journal_lines_carry_their_priority(service: Service) -> None:
    service.start()
    service.configure({"backend": "telepathy"})
    service.box.ask("systemctl", "reload", "inspectd")
    service.says("reload refused: ")
    ours = [entry for entry in service.journal() if entry["_COMM"] == "inspectd"]
    level = {entry["MESSAGE"]: entry["PRIORITY"] for entry in ours}
    [ready] = [text for text in level if "ready: null" in text]
    [refused] = [text for text in level if "reload refused" in text]
    assert (level[ready], level[refused]) == ("6", "4")
    assert ready.startswith("INFO"), "the prefix that carries the level is taken off"
    warnings = service.messages("-p", "warning")
    assert refused in warnings
    assert ready not in warnings


def test_the_sandbox_lets_metrics_out_on_this_machine_and_json_into_the_journal(service: Service) -> None:
    service.drop_in("Environment=INSPECTD_LOG_FORMAT=json")
    service.configure(metrics={"port": 9464})
    service.start()
    service.drop({"a.png": picture(DARK)})
    scrape = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:9464/metrics').read().decode())"

    def counted() -> bool:
        return 'inspectd_images_total{outcome="ok",watch="line"} 1.0' in service.box.ask("python3", "-c", scrape)

    until(counted, "the image is counted")
    ours = [entry for entry in service.journal() if entry["_COMM"] == "inspectd"]
    lines = [json.loads(entry["MESSAGE"]) for entry in ours]
    assert {line["event"] for line in lines} >= {"start", "ready"}
    assert {entry["PRIORITY"] for entry in ours} == {"6"}
