"""The past judged again by another model: the real daemon, real files, kills, and sources that are gone."""

import json
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.site import BRIGHT, DARK, Site, picture, stopped, until
from typer.testing import CliRunner

from inspectd.cli.main import app
from inspectd.ledger.write.reinspections import CRASHES
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import Thresholds

SLOW = 3000  # pixels a side: long enough in hand to be caught there
AGAIN = "select path, inspections.verdict from inspections join images on images.id = image_id where model_id = {}"
LISTED = "select count(*) from reinspection_images where reason is null"
REASONS = "select path, reinspection_images.reason from reinspection_images join images on images.id = image_id"


@pytest.fixture
def strict(site: Site) -> Path:
    """A model to which everything is a defect."""
    return write_null_bundle(site.root / "models" / "strict", "strict", Thresholds(defect=-20.0)).path


def run(site: Site, *arguments: str) -> str:
    done = CliRunner().invoke(app, [*arguments, "-c", str(site.config)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.stderr
    return done.stdout


def again(site: Site, model: int = 2) -> dict[str, str]:
    """The verdicts of a model that was not in service, by path; none of them twice."""
    rows = site.rows(AGAIN.format(model))
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def done(site: Site) -> bool:
    return bool(site.rows("select 1 from reinspections")) and site.rows(LISTED) == [(0,)]


def test_once_works_the_list_off_and_tells_what_could_not_be(site: Site, strict: Path) -> None:
    site.write(sidecar=True)
    names = ["changed", "gone", "a", "b", "c"]
    files = {name: site.drop(f"{name}.png", picture(DARK, seed=seed)) for seed, name in enumerate(names)}
    site.drop("bright.png", picture(BRIGHT))
    assert site.start("--once").ends() == 0
    before = site.rows("select path, verdict, model, overlay from verdicts order by path")
    assert "wait for" in run(site, "reinspect", "-m", str(strict), "--verdict", "ok")
    assert "Waiting:      5 earlier images" in run(site, "status")
    files["gone"].unlink()
    files["changed"].write_bytes(picture(DARK, seed=99))

    assert site.start("--once").ends() == 0
    assert again(site) == {f"{name}.png": "defect" for name in "abc"}
    after = site.rows("select path, verdict, model, overlay from verdicts order by path")
    assert [row for row in after if row in before] == before, "the verdicts that were acted upon stand"
    assert site.rows("select path from images group by path having count(*) > 1") == [("changed.png",)]
    assert {path: reason.partition(":")[0] for path, reason in site.rows(REASONS)} == {
        "changed.png": "changed",
        "gone.png": "vanished",
    }
    ((overlay,),) = site.rows(
        "select overlay from inspections join images on images.id = image_id where model_id = 2 and path = 'a.png'"
    )
    drawn = site.root / "output" / overlay
    assert drawn.is_file()
    assert not drawn.with_suffix(".json").exists(), "what a machine acts upon is told once"
    assert site.rows("select detail from events where kind = 'reinspect' order by id desc limit 1") == [
        (f"{strict_title(site)} has judged 3 earlier images again; 2 could not be: 1 changed, 1 vanished",)
    ]
    shown = run(site, "reinspect")
    assert "gone.png: vanished: it was gone before it could be read" in shown
    assert "Waiting" not in run(site, "status")
    first, second = json.loads(run(site, "show", "a.png", "--json"))[0]["inspections"]
    assert (first["verdict"], second["verdict"], second["model"]) == ("ok", "defect", strict_title(site))
    told = run(site, "show", "a.png")
    assert "passed as ok" in told
    assert f"by {strict_title(site)}, drawn in {overlay}" in told


def strict_title(site: Site) -> str:
    ((title,),) = site.rows("select name || '@' || substr(bundle, 1, 8) from models where name = 'strict'")
    return str(title)


def test_moved_files_are_judged_again_under_load_and_through_kills(site: Site, strict: Path) -> None:
    site.write({"after": "move", "move_to": "archive"})
    daemon = site.start()
    daemon.heard("READY=1")
    for number in range(60):
        site.drop(f"{number}.png", picture(DARK, seed=number))
    site.outcomes(60)
    until(lambda: not list(site.incoming.iterdir()), "the files to be moved")
    assert "The daemon does it" in run(site, "reinspect", "--model", str(strict))
    for kills in range(2):
        until(lambda: len(again(site)) > 8 * kills, "some to be judged again")  # noqa: B023  # called at once
        os.kill(daemon.worker(), signal.SIGKILL)
        for number in range(10):
            site.drop(f"live-{kills}-{number}.png", picture(BRIGHT, seed=number))
        site.outcomes(60 + 10 * (kills + 1))
    until(lambda: done(site), "the list to be worked off")
    assert again(site) == {f"{number}.png": "defect" for number in range(60)}
    verdicts = site.outcomes(80)
    assert sum(verdict == "ok" for verdict in verdicts.values()) == 60
    assert site.rows("select count(*) from inspections where model_id = 1") == [(80,)]
    assert daemon.stop() == 0
    assert "agree" in run(site, "reconcile")
    assert run(site, "db", "check")


def test_an_image_that_workers_die_of_is_given_up(site: Site, strict: Path) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    site.drop("0.png", cv2.imencode(".png", np.full((SLOW, SLOW), DARK, np.uint8))[1].tobytes())
    site.outcomes(1)
    for number in range(1, 4):
        site.drop(f"{number}.png", picture(DARK, seed=number))
    site.outcomes(4)
    run(site, "reinspect", "-m", str(strict), "--path", "0.png", "--by", "null", "--limit", "5")
    for attempt in range(1, 4):
        in_hand = f"select 1 from reinspection_images where attempts = {attempt} and reason is null"
        until(lambda: caught(site, daemon.worker(), in_hand), f"attempt {attempt}")  # noqa: B023  # called at once
        os.kill(daemon.worker(), signal.SIGKILL)
    run(site, "reinspect", "-m", str(strict))
    until(lambda: len(again(site)) == 3 and done(site), "the others to be judged again")
    assert site.rows(REASONS) == [("0.png", CRASHES)]
    assert site.rows("select path, verdict from verdicts where verdict <> 'ok'") == []
    assert daemon.stop() == 0


def caught(site: Site, worker: int, in_hand: str) -> bool:
    """Whether the worker stands still while that is so; otherwise it goes on."""
    if not site.rows(in_hand) or not stopped(worker, site):
        return False
    if site.rows(in_hand):
        return True
    os.kill(worker, signal.SIGCONT)
    return False


def test_a_model_that_cannot_be_loaded_ends_its_request_and_not_the_worker(site: Site, strict: Path) -> None:
    site.drop("a.png", picture(DARK))
    assert site.start("--once").ends() == 0
    run(site, "reinspect", "-m", str(strict))
    (strict / "bundle.yaml").write_text("name: another\n")
    daemon = site.start()
    worker = daemon.worker()
    until(lambda: site.rows("select 1 from events where kind = 'reinspect-refused'"), "the refusal")
    ((reason, waits),) = site.rows("select reason, finished_at is null from reinspections")
    assert "is not what was evaluated" in reason
    assert not waits
    site.drop("b.png", picture(DARK, seed=1))
    site.outcomes(2)
    assert daemon.worker() == worker
    assert "a.png: refused: " in run(site, "reinspect")
    assert daemon.stop() == 0
