"""The daemon as a whole: real processes, real files, a real ledger, and the null network in place of a real one."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import yaml
from support.site import BRIGHT, DARK, Site, picture, until

from inspectd.paths import to_text


def test_a_dropped_image_gets_a_verdict_an_overlay_and_a_sidecar(site: Site) -> None:
    site.write({"fields": r"(?P<part>\d+)_(?P<station>\w+)"}, sidecar=True)
    daemon = site.start()
    daemon.heard("READY=1")
    site.drop("4711_press.png", picture(BRIGHT))
    site.drop("4712_press.png", picture(DARK))
    assert site.outcomes(2) == {"4711_press.png": "defect", "4712_press.png": "ok"}
    (part, overlay, label, score) = site.rows(
        "select part, overlay, label, score from verdicts where verdict = 'defect'"
    )[0]
    assert (part, label) == ("4711", "defect")
    assert score > 0.5
    assert (site.root / "output" / overlay).is_file()
    sidecar = json.loads((site.root / "output" / overlay).with_suffix(".json").read_text())
    assert (sidecar["verdict"], sidecar["part"], sidecar["score"]) == ("defect", "4711", score)
    assert Path(sidecar["overlay"]) == site.root / "output" / overlay
    assert daemon.stop() == 0


def test_once_inspects_what_is_there_and_exits(site: Site) -> None:
    for number in range(40):
        site.drop(f"{number}.png", picture(BRIGHT if number % 4 == 0 else DARK, seed=number))
    assert site.start("--once").ends() == 0
    assert len(site.outcomes(40)) == 40
    assert sum(verdict == "defect" for verdict in site.outcomes(40).values()) == 10
    assert site.start("--once").ends() == 0
    assert site.rows("select count(*) from inspections") == [(40,)], "a second run must not judge again"


def test_once_with_a_missing_folder_says_so(site: Site) -> None:
    site.incoming.rmdir()
    daemon = site.start("--once")
    assert daemon.ends() == 78
    assert "incoming" in daemon.log.read_text()


def test_once_ends_when_its_folder_goes_away(site: Site) -> None:
    for number in range(300):
        site.drop(f"{number}.png", picture(DARK, seed=number))
    daemon = site.start("--once")
    until(lambda: site.rows("select 1 from inspections"), "the first verdict")
    site.incoming.rename(site.root / "elsewhere")
    assert daemon.ends() == 1
    assert "disappeared" in daemon.log.read_text()
    (site.root / "elsewhere").rename(site.incoming)
    assert site.start("--once").ends() == 0
    assert set(site.outcomes(300).values()) == {"ok"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_with_zero_and_leaves_no_image_in_hand(site: Site, number: signal.Signals) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    for index in range(200):
        site.drop(f"{index}.png", picture(DARK, seed=index))
    site.outcomes(1)
    assert daemon.stop(number) == 0
    assert "STOPPING=1" in daemon.heard("STOPPING")
    assert site.rows("select count(*) from images where state = 'claimed'") == [(0,)]


def test_what_is_no_image_ends_as_a_failure_and_holds_up_nothing(site: Site) -> None:
    whole = picture(DARK, size=64)
    site.drop("cut.png", whole[: len(whole) // 2])
    site.drop("text.png", b"no image at all")
    site.drop("empty.png", b"")
    site.drop("good.png", whole)
    assert site.start("--once").ends() == 0
    reasons = dict(site.rows("select path, verdict || ' ' || coalesce(reason, '') from verdicts"))
    assert reasons["good.png"].startswith("ok")
    assert reasons["cut.png"].startswith("failed truncated:")
    assert reasons["text.png"].startswith("failed not an image:")
    assert reasons["empty.png"].startswith("failed empty:")


def test_a_slow_writer_is_judged_once_and_whole(site: Site) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    data = picture(BRIGHT, size=128)
    with (site.incoming / "slow.png").open("wb") as file:
        for start in range(0, len(data), len(data) // 5):
            file.write(data[start : start + len(data) // 5])
            file.flush()
            # Longer than a settling period, so that the file looks still between two writes.
            time.sleep(0.3)
    assert site.outcomes(1) == {"slow.png": "defect"}
    assert site.rows("select count(*) from inspections") == [(1,)]


def test_touch_makes_no_second_verdict_and_new_content_does(site: Site) -> None:
    path = site.drop("a.png", picture(DARK))
    assert site.start("--once").ends() == 0
    os.utime(path)
    assert site.start("--once").ends() == 0
    assert site.rows("select count(*) from images") == [(1,)]
    site.drop("a.png", picture(BRIGHT))
    assert site.start("--once").ends() == 0
    assert site.rows("select verdict from inspections order by id") == [("ok",), ("defect",)]


def test_a_copy_with_the_same_size_and_times_is_seen(site: Site) -> None:
    path = site.incoming / "fixed.bmp"
    bitmap = bytearray(b"BM" + (54 + 12 * 64).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little"))
    bitmap += (40).to_bytes(4, "little") + (16).to_bytes(4, "little") + (16).to_bytes(4, "little")
    bitmap += (1).to_bytes(2, "little") + (24).to_bytes(2, "little") + bytes(24)
    path.write_bytes(bytes(bitmap) + bytes([DARK]) * 768)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert site.start("--once").ends() == 0
    path.write_bytes(bytes(bitmap) + bytes([BRIGHT]) * 768)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert site.start("--once").ends() == 0
    assert site.rows("select verdict from inspections order by id") == [("ok",), ("defect",)]


def test_two_watches_with_the_same_names_and_two_models(site: Site) -> None:
    second = site.root / "second"
    second.mkdir()
    first = {"name": "line", "path": "incoming", "model": "models/null", "settle": 0.2}
    site.write(watch=None)
    document = yaml.safe_load(site.config.read_text())
    document["watch"] = [first, {**first, "name": "other", "path": "second"}]
    site.config.write_text(yaml.safe_dump(document))
    site.drop("same.png", picture(DARK))
    (second / "same.png").write_bytes(picture(BRIGHT))
    assert site.start("--once").ends() == 0
    assert site.rows("select watch, verdict from verdicts order by watch") == [("line", "ok"), ("other", "defect")]


def test_any_name_goes_all_the_way(site: Site) -> None:
    """From the watch through ledger, overlay and sidecar into the archive."""
    site.write({"after": "move", "include": ["*"]}, sidecar=True)
    names = [
        b"x" * 251 + b".png",
        b"line\nbreak.png",
        b"\xff caf\xe9 %41.png",
        "né [red] -x.png".encode(),
        b"no suffix",
    ]
    for seed, name in enumerate(names):
        (site.incoming / os.fsdecode(name)).write_bytes(picture(DARK, seed=seed))
    assert site.start("--once").ends() == 0
    assert {path for (path,) in site.rows("select path from verdicts where verdict = 'ok'")} == set(map(to_text, names))
    archived = {os.fsencode(path.name) for path in (site.root / "archive").rglob("*") if path.is_file()}
    assert archived == set(names)
    overlays = [site.root / "output" / overlay for (overlay,) in site.rows("select overlay from verdicts")]
    assert all(path.is_file() and path.with_suffix(".json").is_file() for path in overlays)
    assert list(site.incoming.iterdir()) == []


def test_an_output_that_cannot_be_written_is_said_at_start(site: Site) -> None:
    (site.root / "output").write_text("a file where a folder should be")
    daemon = site.start("--once")
    assert daemon.ends() == 78
    assert "output" in daemon.log.read_text()


def test_move_and_delete_put_sources_away(site: Site) -> None:
    site.write({"after": "move"})
    site.drop("good.png", picture(DARK))
    site.drop("bad.png", picture(BRIGHT))
    assert site.start("--once").ends() == 0
    assert list(site.incoming.iterdir()) == []
    assert [path.name for path in (site.root / "archive/line/defect").rglob("*.png")] == ["bad.png"]
    assert [path.name for path in (site.root / "archive/line/ok").rglob("*.png")] == ["good.png"]
    site.write({"after": "delete"})
    site.drop("good.png", picture(DARK, seed=1))
    site.drop("bad.png", picture(BRIGHT, seed=1))
    site.drop("broken.png", b"nothing")
    assert site.start("--once").ends() == 0
    assert sorted(path.name for path in site.incoming.iterdir()) == ["bad.png", "broken.png"]


def test_a_broken_configuration_is_exit_78_and_one_sentence(site: Site) -> None:
    site.write({"backend": "telepathy"})
    daemon = site.start()
    assert daemon.ends() == 78
    text = daemon.log.read_text()
    assert "backend" in text
    assert "polling" in text
    assert "Traceback" not in text


def test_no_loadable_model_at_start_is_exit_78(site: Site) -> None:
    (site.root / "models/null/bundle.yaml").write_text("format: 1\n")
    daemon = site.start()
    assert daemon.ends() == 78
    assert "Traceback" not in daemon.log.read_text()


def test_a_ledger_that_is_deleted_ends_the_daemon(site: Site) -> None:
    """What it writes to the deleted file would be lost; a new start makes a new ledger."""
    daemon = site.start()
    daemon.heard("READY=1")
    (site.root / "inspectd.db").rename(site.root / "away.db")
    assert daemon.ends() == 1
    assert "deleted or replaced" in daemon.log.read_text()


def test_a_damaged_ledger_is_refused_untouched_and_needs_a_person(site: Site) -> None:
    ledger = site.root / "inspectd.db"
    assert site.start("--once").ends() == 0
    damaged = b"\xa5" * 4096 + ledger.read_bytes()[4096:]
    ledger.write_bytes(damaged)
    daemon = site.start()
    assert daemon.ends() == 78, "systemd does not start it again"
    assert "restore a copy" in daemon.log.read_text()
    assert "Traceback" not in daemon.log.read_text()
    assert ledger.read_bytes() == damaged


def test_a_second_supervisor_is_refused(site: Site) -> None:
    site.start().heard("READY=1")
    second = site.start()
    assert second.ends() == 1
    assert "another inspectd" in second.log.read_text()


def test_reload_takes_a_good_configuration_and_refuses_a_bad_one(site: Site) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    first_worker = daemon.worker()
    site.write({"path": "elsewhere"}, overlay={"format": "png"})
    (site.root / "elsewhere").mkdir()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.heard("RELOADING=1")
    daemon.heard("READY=1")
    until(lambda: site.rows("select 1 from events where kind = 'reload'"), "the reload's event")
    (site.root / "elsewhere" / "a.png").write_bytes(picture(BRIGHT))
    assert site.outcomes(1) == {"a.png": "defect"}
    assert site.rows("select overlay from verdicts")[0][0].endswith(".png")
    assert daemon.worker() != first_worker

    site.write({"settle": -1})
    daemon.process.send_signal(signal.SIGHUP)
    assert "reload refused" in daemon.heard("reload refused")
    (site.root / "elsewhere" / "b.png").write_bytes(picture(DARK))
    assert site.outcomes(2)["b.png"] == "ok", "the configuration before stays in force"

    site.write({"path": "elsewhere"}, database="sqlite:///another.db")
    daemon.process.send_signal(signal.SIGHUP)
    assert "restart needed" in daemon.heard("restart needed")
    assert daemon.stop() == 0


def test_every_reload_ends_with_ready(site: Site) -> None:
    """Without it systemd takes the service for one that still reloads."""
    daemon = site.start()
    daemon.heard("READY=1")
    site.write({"settle": -1})
    for _ in range(2):  # the second is refused with the very same words
        daemon.process.send_signal(signal.SIGHUP)
        daemon.heard("RELOADING=1")
        daemon.heard("READY=1")
    site.write()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.heard("RELOADING=1")
    assert "STATUS=Ready" in daemon.heard("READY=1")


def test_reload_with_a_damaged_model_keeps_the_old_worker(site: Site) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    site.write({"model": "models/missing"})
    daemon.process.send_signal(signal.SIGHUP)
    assert "missing" in daemon.heard("reload refused")
    site.drop("a.png", picture(DARK))
    assert site.outcomes(1) == {"a.png": "ok"}


def test_status_says_device_backend_and_model(site: Site) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    status = daemon.heard("null@")
    for word in ("cpu", "line (inotify)", "queued"):
        assert word in status, status
    assert "WATCHDOG=1" in daemon.heard("WATCHDOG=1")


@pytest.mark.parametrize("after", ["keep", "move"])
def test_sigkill_at_random_moments_loses_nothing_and_doubles_nothing(site: Site, after: str) -> None:
    """Worker and supervisor are killed again and again while images keep coming."""
    site.write({"after": after})
    chance = random.Random(7)
    expected: dict[str, str] = {}
    daemon = site.start()
    daemon.heard("READY=1")
    for round_ in range(8):
        for index in range(25):
            level = chance.choice([BRIGHT, DARK])
            name = f"{round_}-{index}.png"
            site.drop(name, picture(level, seed=round_ * 100 + index))
            expected[name] = "defect" if level == BRIGHT else "ok"
        wanted = chance.randrange(len(expected))
        until(lambda wanted=wanted: len(site.rows("select 1 from inspections")) >= wanted, f"{wanted} verdicts")
        if round_ % 2:
            os.kill(daemon.worker(), signal.SIGKILL)
        else:
            daemon.kill()
            daemon = site.start()
    assert site.outcomes(len(expected)) == expected
    until(lambda: site.rows("select count(*) from images where after = 'pending'") == [(0,)], "files put away")
    assert daemon.stop() == 0
    assert site.rows("select count(*) from inspections") == [(len(expected),)]
    folder = site.incoming if after == "keep" else site.root / "archive"
    assert sorted(path.name for path in folder.rglob("*.png")) == sorted(expected)
    overlays = {str(path.relative_to(site.root / "output")) for path in (site.root / "output").rglob("*.jpg")}
    assert overlays == {overlay for (overlay,) in site.rows("select overlay from verdicts")}
