"""`inspectd config` and `inspectd init`, and where the configuration is looked for."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inspectd.cli import options
from inspectd.cli.main import app
from inspectd.config import json_schema, load
from inspectd.errors import InspectdError
from inspectd.model.bundle import load_bundle
from inspectd.model.null import write_null_bundle

CONFIG = "database: sqlite:///inspectd.db\noutput: output\nwatch: [{name: a, path: in, model: models/demo}]\n"


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def lay_out(folder: Path) -> None:
    """Everything that CONFIG names."""
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "in").mkdir()
    write_null_bundle(folder / "models" / "demo")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(options.CONFIG_VARIABLE, raising=False)
    return tmp_path


def test_check_says_what_was_understood_and_touches_nothing(folder: Path) -> None:
    lay_out(folder)
    before = sorted(folder.rglob("*"))
    code, out, _ = run("config", "check")
    title = load_bundle(folder / "models" / "demo").title
    assert code == 0
    assert out.splitlines() == [
        "config.yaml is right.",
        f"database  {folder}/inspectd.db",
        f"output    {folder}/output",
        f"watch     a: {folder}/in, judged by {title} (version 1) in {folder}/models/demo, then kept",
    ]
    assert sorted(folder.rglob("*")) == before


def test_check_names_what_run_would_refuse(folder: Path) -> None:
    (folder / "config.yaml").write_text(CONFIG)
    code, out, err = run("config", "check")
    assert (code, out) == (78, "")
    assert err.splitlines() == [
        f"inspectd: the folder of watch a, {folder}/in, is not there.",
        f"inspectd: {folder}/models/demo is not a model bundle: there is no such folder. "
        "Point `model` at a folder that `inspectd train` wrote.",
    ]


def test_a_configuration_that_may_not_be_followed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "config.yaml").symlink_to("beyond")
    monkeypatch.setattr(options, "CONFIG_PLACES", (Path("config.yaml"), Path("other.yaml")))
    assert "config.yaml does not exist" in run("config", "check")[2]


def test_the_option_wins_over_the_variable_and_the_variable_over_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(folder)
    for name in ("variable.yaml", "option.yaml"):
        (folder / name).write_text(CONFIG)
    assert run("config", "check")[1].startswith("config.yaml")
    monkeypatch.setenv(options.CONFIG_VARIABLE, "variable.yaml")
    assert run("config", "check")[1].startswith("variable.yaml")
    assert run("config", "check", "-c", "option.yaml")[1].startswith("option.yaml")


def test_the_system_s_configuration_comes_last(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(folder)
    (folder / "config.yaml").unlink()
    places = (Path("config.yaml"), folder / "etc.yaml")
    monkeypatch.setattr(options, "CONFIG_PLACES", places)
    code, _, err = run("config", "check")
    assert code == 78
    assert "name a configuration with --config FILE" in err
    places[1].write_text(CONFIG)
    assert run("config", "check")[1].startswith(str(places[1]))


def test_schema_goes_to_standard_output_or_a_file(folder: Path) -> None:
    assert json.loads(run("config", "schema")[1]) == json_schema()
    assert run("config", "schema", "schema.json") == (0, "", "")
    assert json.loads((folder / "schema.json").read_text()) == json_schema()
    code, _, err = run("config", "schema", "nowhere/schema.json")
    assert code == 1
    assert err == "inspectd: nowhere/schema.json cannot be written: No such file or directory.\n"


def test_init_lays_out_a_folder_that_runs_as_it_is(folder: Path) -> None:
    code, out, _ = run("init", "my line")
    assert code == 0
    assert "inspectd run -c 'my line/config.yaml'" in out
    config = load(folder / "my line" / "config.yaml")
    assert config.output.is_dir()
    assert config.watch[0].path.is_dir()
    assert load_bundle(config.watch[0].model).spec.network == "keras"


@pytest.mark.parametrize("existing", ["config.yaml", "incoming", "models"])
def test_init_overwrites_nothing(folder: Path, existing: str) -> None:
    (folder / existing).mkdir()
    code, _, err = run("init", ".")
    assert code == InspectdError.exit_code
    assert err == f"inspectd: {existing} exists already and is not overwritten: choose another folder.\n"
    assert list(folder.iterdir()) == [folder / existing]


def test_init_where_it_may_not_write(folder: Path) -> None:
    (folder / "file").touch()
    code, _, err = run("init", "file/below")
    assert code == 1
    assert "cannot be written: Not a directory." in err
