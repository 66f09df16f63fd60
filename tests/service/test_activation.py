"""Another version is made current under a running daemon: it comes into service, or stays out, and nothing is lost."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from support.golden import golden_bundle, spoilt
from support.site import BRIGHT, DARK, Site, picture, until

from inspectd.model.bundle import load_bundle
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import Thresholds
from inspectd.model.versions import activate, publish, rollback

STRICT, LENIENT = -100.0, 100.0  # thresholds by which every image is a defect, or none


@pytest.fixture
def model(site: Site) -> Path:
    """The model of the site's watch: version 1 judges by brightness, 2 rejects everything, 3 nothing."""
    spec = write_null_bundle(site.root / "models" / "draft", "cracks").spec
    for threshold in (0.0, STRICT, LENIENT):
        publish(
            site.root / "models" / "cracks", replace(spec, thresholds=Thresholds(threshold)), {"card.md": b"# A card"}
        )
    site.write({"model": "models/cracks"})
    return site.root / "models" / "cracks"


def title(model: Path, version: int) -> str:
    return f"{load_bundle(model / str(version)).title} (version {version})"


def events(site: Site, kind: str) -> list[str]:
    return [detail for (detail,) in site.rows(f"select detail from events where kind = '{kind}' order by id")]


def lead(model: Path, to: str) -> None:
    """Set `current` by hand, as somebody may who looks at nothing first."""
    (model / "by-hand").symlink_to(to)
    (model / "by-hand").rename(model / "current")


def test_a_version_comes_into_service_under_load_and_goes_again(site: Site, model: Path) -> None:
    daemon = site.start()
    assert title(model, 1) in daemon.heard("cracks@")
    names: list[str] = []

    def drop(count: int) -> list[str]:
        new = [f"{len(names) + number}.png" for number in range(count)]
        for name in new:
            site.drop(name, picture(DARK, seed=len(names)))
            names.append(name)
        return new

    drop(100)
    site.outcomes(10)
    activate(model, 2, "found the\nescapes of Monday")
    until(lambda: drop(1) and events(site, "activation") and len(daemon.workers()) == 1, "the activation")
    rejected = drop(20)
    site.outcomes(len(names))
    rollback(model)
    until(lambda: drop(1) and events(site, "activation")[1:] and len(daemon.workers()) == 1, "the return")
    passed = drop(20)

    verdicts = site.outcomes(len(names))
    assert set(verdicts) == set(names)
    assert {verdicts[name] for name in rejected} == {"defect"}
    assert {verdicts[name] for name in passed} == {"ok"}
    assert site.rows("select count(*) from inspections") == [(len(names),)], "an image was judged twice"
    by = set(site.rows("select distinct models.version, verdict from inspections join models on models.id = model_id"))
    assert by == {(1, "ok"), (2, "defect")}
    first, second = title(model, 1), title(model, 2)
    assert events(site, "activation") == [
        f"cracks: {second} in service, before: {first}; reason: found the escapes of Monday",
        f"cracks: {first} in service, before: {second}; a return to the version before",
    ]
    assert events(site, "worker-died") == []
    assert events(site, "reload") == []
    assert daemon.stop() == 0


def test_a_version_that_is_not_proven_stays_out_and_is_not_tried_for_ever(site: Site, model: Path) -> None:
    unproven = spoilt(golden_bundle(site.root, "cracks"), site.root / "spoilt", 0.5)
    publish(model, unproven.spec, {}, unproven)
    daemon = site.start()
    daemon.heard("READY=1")
    activate(model, 4)
    why = f"{load_bundle(model / '4').title} does not reproduce 8 of its 8 golden images"
    until(lambda: title(model, 1) in daemon.heard(f"activation of {model} refused: {why}"), "the version before")

    os.kill(daemon.worker(), signal.SIGKILL)
    site.drop("a.png", picture(DARK))
    assert site.outcomes(1) == {"a.png": "ok"}, "so does a worker that is started again"

    shutil.rmtree(model / "1")
    os.kill(daemon.worker(), signal.SIGKILL)
    daemon.heard(f"no new work: {model / '1'} is not a model bundle")
    site.drop("b.png", picture(BRIGHT))
    activate(model, 3)
    assert site.outcomes(2)["b.png"] == "ok", "another one is taken although none can serve"
    (refused,) = events(site, "activation-refused")
    assert f"(version 1) stays in service: {why}" in refused
    until(lambda: "refused" not in daemon.heard("cracks@"), "a status without the refusal")
    assert daemon.stop() == 0


def test_each_of_several_models_is_seen_to(site: Site, model: Path) -> None:
    """One that is refused holds up none of the others; a reload tries it again."""
    other = shutil.copytree(model, model.with_name("dents"), symlinks=True)
    document = yaml.safe_load(site.config.read_text())
    (site.root / "second").mkdir()
    document["watch"].append({**document["watch"][0], "name": "other", "path": "second", "model": "models/dents"})
    site.config.write_text(yaml.safe_dump(document))
    daemon = site.start()
    daemon.heard("READY=1")
    whole = (model / "2" / "card.md").read_text()
    (model / "2" / "card.md").write_text("# another")
    lead(model, "2")
    activate(other, 3)
    until(lambda: len(events(site, "activation")) == len(events(site, "activation-refused")) == 1, "both outcomes")
    assert events(site, "activation")[0].startswith(f"dents: {title(other, 3)} in service, before: {title(other, 1)}")

    (site.root / "second" / "a.png").write_bytes(picture(BRIGHT))
    site.drop("a.png", picture(BRIGHT, seed=1))
    until(lambda: len(_verdicts(site)) == 2, "two outcomes")
    assert _verdicts(site) == [("line", "defect", 1), ("other", "ok", 3)]

    (model / "2" / "card.md").write_text(whole)
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: len(events(site, "activation")) == 2, "the version that was mended")
    assert events(site, "activation")[1].startswith(f"cracks: {title(model, 2)} in service")
    assert daemon.stop() == 0


def test_a_start_with_a_version_that_is_not_proven_begins_with_the_one_before(site: Site, model: Path) -> None:
    unproven = spoilt(golden_bundle(site.root, "cracks"), site.root / "spoilt", 0.5)
    publish(model, unproven.spec, {}, unproven)
    activate(model, 2)
    activate(model, 4)
    once = site.start("--once")
    assert once.ends() == 78, "whoever waits for the end is told, and judges by nothing else"
    assert "does not reproduce" in once.log.read_text()
    daemon = site.start()
    until(lambda: title(model, 2) in daemon.heard(f"activation of {model} refused"), "the version before in service")
    site.drop("a.png", picture(DARK))
    assert site.outcomes(1) == {"a.png": "defect"}
    first, second = events(site, "activation-refused")
    assert "cannot be served, so judging starts with the earlier ones" in first
    assert f"{title(model, 2)} stays in service" in second
    assert daemon.stop() == 0
    shutil.rmtree(model / "2")
    shutil.rmtree(model / "1")
    assert site.start().ends() == 78, "there is none before"


def test_killed_amid_an_activation_the_daemon_comes_back_with_what_is_current(site: Site, model: Path) -> None:
    daemon = site.start()
    daemon.heard("READY=1")
    activate(model, 2)
    until(lambda: len(daemon.workers()) == 2, "the candidate")
    site.drop("a.png", picture(DARK))
    daemon.kill()
    daemon = site.start()
    assert title(model, 2) in daemon.heard("cracks@")
    site.drop("b.png", picture(DARK))
    assert site.outcomes(2)["b.png"] == "defect"
    assert site.rows("select count(*) from inspections") == [(2,)]
    assert daemon.stop() == 0


def _verdicts(site: Site) -> list[tuple[str, str, int]]:
    return site.rows(
        "select watch, inspections.verdict, version from inspections join images on images.id = image_id "
        "join models on models.id = model_id order by watch"
    )
