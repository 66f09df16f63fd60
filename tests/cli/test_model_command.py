"""`inspectd model`: what there is, what is known of it, and which version is to judge."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.golden import golden_bundle, spoilt
from typer.testing import CliRunner

from inspectd.cli.main import app
from inspectd.model.bundle import load_bundle
from inspectd.model.null import write_null_bundle
from inspectd.model.versions import current, history, publish

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of models: `cracks` with two versions, `plain` that is a bundle, and something else."""
    models = tmp_path / "models"
    spec = write_null_bundle(models / "plain", "plain").spec
    for auc in (0.75, 1.0):
        metrics = {"auc": auc, "escapes": 3, "defects": 40, "overkills": 0, "good": 60}
        publish(models / "cracks", replace(spec, name="cracks", metrics=metrics), {"golden/a.png": b"an image"})
    (models / "notes").mkdir()
    return models


@pytest.fixture
def run(models: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder whose configuration has the model `cracks`."""
    (models.parent / "in").mkdir()
    (models.parent / "config.yaml").write_text(
        "database: sqlite:///i.db\noutput: out\nwatch: [{name: a, path: in, model: models/cracks}]\n"
    )
    monkeypatch.chdir(models.parent)

    def run(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, ["model", *arguments])
        return done.exit_code, done.stdout, done.stderr

    return run


def test_list(run: Run, models: Path) -> None:
    (models / "cracks/2/golden/a.png").write_bytes(b"another")
    (models / "cracks/2/bundle.yaml").write_text("format: 1")
    _, configured, _ = run("list")
    heading, first, second = configured.splitlines()
    assert heading.split() == ["model", "version", "current", "bundle", "written", "AUC", "escapes", "overkills"]
    title = load_bundle(models / "cracks/1").title
    assert first.split()[1:4] == ["1", "current", title]
    assert first.split()[-7:] == ["0.7500", "3", "of", "40", "0", "of", "60"]
    assert "unusable" in second

    code, listed, _ = run("list", "models", "--json")
    entries = json.loads(listed)
    assert code == 0
    assert [(Path(each["model"]).name, each["version"], each["current"]) for each in entries] == [
        ("cracks", 1, True),
        ("cracks", None, False),
        ("plain", 1, True),
    ]
    assert run("list", "cracks")[1] == configured
    assert run("list", "in") == (0, "", "There is no model here.\n")
    code, listed, said = run("list", "modles")
    assert (code, listed) == (1, "")
    assert "modles: there is no such folder, and no model of the configuration has that name" in said


def test_show_verifies_every_byte(run: Run, models: Path) -> None:
    bundle = load_bundle(models / "cracks/1")
    code, text, _ = run("show", "cracks")
    assert code == 0
    for words in (
        bundle.identity,
        "ok (OK), defect (NG)",
        "auc 0.75",
        "64 × 64, RGB",
        "1 images",
        "golden/a.png (8 bytes)",
    ):
        assert words in text
    shown = json.loads(run("show", "models/cracks/2", "--json")[1])
    assert (shown["version"], shown["metrics"]["auc"], shown["files"]["golden/a.png"]) == (2, 1.0, 8)
    (models / "cracks/1/golden/a.png").write_bytes(b"another")
    assert run("show", "cracks")[0] == 1
    assert "not what was evaluated" in run("show", "cracks")[2]


def test_activate_and_rollback(run: Run, models: Path) -> None:
    code, text, _ = run("activate", "cracks", "2", "--reason", "fewer escapes")
    title = load_bundle(models / "cracks/2").title
    assert (code, current(models / "cracks")) == (0, 2)
    assert text.startswith(f"{models / 'cracks'}: version 2 ({title}) is current, before: 1.\n")
    assert history(models / "cracks")[-1].reason == "fewer escapes"
    assert "was so already" in run("activate", "models/cracks", "2")[1]
    (models.parent / "cracks").mkdir()  # the images that it was trained with, say
    assert "version 1" in run("rollback", "cracks", "--reason", "too many overkills")[1]
    assert current(models / "cracks") == 1
    assert run("rollback", "cracks")[0] == 1


def test_activation_asks_for_the_golden_images(run: Run, models: Path) -> None:
    unproven = spoilt(golden_bundle(models, "golden"), models / "spoilt", 0.5)
    publish(models / "cracks", unproven.spec, {}, unproven)
    code, _, said = run("activate", "cracks", "3")
    assert (code, current(models / "cracks")) == (1, 1)
    assert "does not reproduce 8 of its 8 golden images on cpu in float32" in said
    assert run("activate", "cracks", "3", "--no-prove")[0] == 0
    assert current(models / "cracks") == 3


def test_a_configuration_names_versions_too(run: Run, models: Path) -> None:
    run("activate", "cracks", "2")
    done = CliRunner().invoke(app, ["config", "check"])
    title = load_bundle(models / "cracks/2").title
    assert f"judged by {title} (version 2) in {models / 'cracks/2'}, then kept" in done.stdout
    (models / "cracks/current").unlink()
    done = CliRunner().invoke(app, ["config", "check"])
    assert (done.exit_code, done.stderr.count("\n")) == (78, 1)
    assert "none of its versions is current" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["activate", "cracks", "7"], "has no version 7: it has 1, 2."),
        (["activate", "models/plain", "1"], "it is not a folder of versions"),
        (["activate", "dents", "1"], "no model of the configuration has that name (cracks)"),
        (["rollback", "models/notes"], "no other version was current before"),
    ],
)
def test_what_cannot_be_is_a_sentence(arguments: list[str], sentence: str, run: Run) -> None:
    code, _, said = run(*arguments)
    assert code == 1
    assert sentence in said


def test_verify_shows_each_golden_image_and_fails_where_it_is_not_reproduced(run: Run, models: Path) -> None:
    good = golden_bundle(models, "good")
    code, text, _ = run("verify", "models/good")
    lines = text.splitlines()
    assert code == 0
    assert len(lines) == 1 + 8 + 1
    assert lines[1].split()[1:4] == ["ok", "ok", "ok"]
    assert lines[1].split()[-3:] == ["0.00%", "1.0000", "passes"]
    assert lines[-1].startswith(f"{good.title} reproduces its 8 golden images on cpu in float32: ")

    spoilt(good, models / "bad", 0.5)
    code, text, _ = run("verify", "models/bad", "--precision", "float32", "--json")
    found = json.loads(text)
    assert code == 1
    assert {(each["passes"], each["class"], round(each["share"], 3)) for each in found} == {
        (False, "ok", 0.5),
        (False, "defect", 0.5),
    }
    assert "which its manifest lists" in removed(run, models / "bad")


def removed(run: Run, model: Path) -> str:
    next((model / "golden").glob("*.png")).unlink()
    return run("verify", str(model))[2]
