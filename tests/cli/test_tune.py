"""`inspectd tune` as a user calls it."""

import json
from pathlib import Path

import pytest
from support.findings import cases, model
from typer.testing import CliRunner

from inspectd.cli.main import app
from inspectd.model.versions import versions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model(tmp_path / "screws", cases([-4.0, -3.0, -2.0, 1.0], [-1.0, 2.0, 3.0], "validation"))
    return tmp_path / "screws"


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["tune", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def test_sentences_for_people(folder: Path) -> None:
    code, out, _ = run(folder, "--max-escape", "0.5%", "--max-overkill", "2 %")
    assert code == 0
    *_, wrote, past, activate = out.splitlines()
    assert "to claim 0.5 % you need 598 defect images without a miss." in out
    assert wrote.startswith(f"Wrote {folder}/2 (screws@")
    assert past.endswith("what-if --threshold 1.5 --review -1.5 --since 30d`.")
    assert activate.endswith(f"model activate {folder} 2` on.")


def test_json_for_programs(folder: Path) -> None:
    code, out, _ = run(
        folder, "--cost-escape", 200, "--cost-overkill", 2, "--cost-review", 1, "--defect-share", "10%", "--json"
    )
    assert code == 0
    [found] = json.loads(out)
    assert (found["bundle"], found["version"]) == (f"{folder}/2", 2)
    assert found["thresholds"] == {"defect": 1.5, "review": -1.5}
    assert found["on_test_images"] is None
    chosen = found["on_the_images_that_chose"]
    assert (chosen["escape"]["count"], chosen["escape"]["of"], chosen["review"]["count"]) == (0, 3, 2)
    assert chosen["escape"]["upper_bound_95"] == pytest.approx(1 - 0.05 ** (1 / 3), abs=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--max-escape", "0.005"],
        ["--max-escape", "100%"],
        ["--max-escape", "1%", "--cost-escape", "1"],
        ["--cost-escape", "1"],
        ["--cost-escape", "-1", "--cost-overkill", "1"],
        ["--cost-escape", "inf", "--cost-overkill", "1"],
        ["--defect-share", "1%"],
    ],
)
def test_a_purpose_is_limits_or_costs(folder: Path, arguments: list[str]) -> None:
    assert run(folder, *arguments)[0] == 2
    assert versions(folder) == [1]


def test_what_cannot_be_tuned_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    code, _, err = run(folder, "--max-escape", "1%", "--findings", tmp_path / "none.csv")
    assert (code, err.count("\n")) == (1, 1)
    assert "none.csv cannot be read" in err
    code, _, err = run(folder, "--cost-escape", "0", "--cost-overkill", "0")
    assert (code, err.count("\n")) == (1, 1)
    assert "Without costs every threshold is equal" in err
    assert versions(folder) == [1]
