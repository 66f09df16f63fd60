"""`inspectd inspect` on real files, with the null network: brighter than mid-grey is a defect."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from inspectd.cli.main import app
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import Preparation


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(7).normal(0, 8, (60, 90))
    for name, brightness in (("dark.png", 40), ("bright.png", 220)):
        Image.fromarray(np.clip(noise + brightness, 0, 255).astype(np.uint8)).save(tmp_path / name)
    (tmp_path / "cut.png").write_bytes((tmp_path / "dark.png").read_bytes()[:-400])
    return tmp_path


@pytest.fixture
def model(folder: Path) -> str:
    """The short identity of the bundle `null` in the folder."""
    return write_null_bundle(folder / "null").short


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["inspect", "--model", "null", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_a_line_and_an_overlay_for_each_file(folder: Path, model: str) -> None:
    code, out, err = run("dark.png", "bright.png", "--out", "seen")
    assert (code, err) == (0, "")
    dark, bright = out.splitlines()
    assert dark.startswith("dark.png: ok, ok, score 0.")
    assert dark.endswith(f"overlay seen/dark.png-{model}.jpg")
    assert bright.startswith("bright.png: defect, defect, score 0.9")
    for name in ("dark.png", "bright.png"):
        with Image.open(folder / "seen" / f"{name}-{model}.jpg") as overlay:
            assert overlay.size == (90, 60)


@pytest.mark.usefixtures("model")
def test_a_bad_file_is_a_line_and_the_others_are_still_judged(folder: Path) -> None:
    code, out, _ = run("cut.png", "missing.png", str(folder), "bright.png")
    assert code == 1
    verdicts = [line.split(": ")[1].partition(",")[0] for line in out.splitlines()]
    assert verdicts == ["failed", "failed", "failed", "defect"]
    assert "unreadable: No such file or directory" in out


def test_16_bit_files_are_read_and_shown_by_the_bits_of_the_bundle(folder: Path) -> None:
    bundle = write_null_bundle(folder / "null", preparation=Preparation(64, 64, bits=12))
    for name in ("dark", "bright"):
        deep = np.asarray(Image.open(folder / f"{name}.png")).astype(np.uint16) << 4
        Image.fromarray(deep).save(folder / f"{name}12.png")
    out = run("dark12.png", "bright12.png", "--out", "seen")[1]
    assert [line.split(",")[0] for line in out.splitlines()] == ["dark12.png: ok", "bright12.png: defect"]
    with Image.open(folder / "seen" / f"bright12.png-{bundle.short}.jpg") as overlay:
        assert np.asarray(overlay).mean() > 100


@pytest.mark.usefixtures("model")
def test_a_file_that_ends_in_black_is_judged_as_it_is(folder: Path) -> None:
    Image.fromarray(np.pad(np.full((60, 90), 250, np.uint8), ((20, 0), (0, 0)))).save(folder / "part.bmp")
    code, out, _ = run("part.bmp")
    assert (code, out.partition(",")[0]) == (0, "part.bmp: defect")


@pytest.mark.usefixtures("model")
def test_more_files_than_a_batch_keep_their_order(folder: Path) -> None:
    code, out, _ = run("--json", *["bright.png", "cut.png", "dark.png"] * 6)
    assert code == 1
    answers = json.loads(out)
    assert [answer["verdict"] for answer in answers] == ["defect", "failed", "ok"] * 6
    overlays = [answer["overlay"] for answer in answers if answer["overlay"]]
    assert len(set(overlays)) == 12
    assert {path.name for path in (folder / "overlays").iterdir()} == {Path(overlay).name for overlay in overlays}


def test_json_says_everything(model: str) -> None:
    [answer] = json.loads(run("--json", "bright.png")[1])
    assert answer["model"] == f"null@{model}"
    assert answer["regions"][0].keys() == {"x", "y", "width", "height", "peak"}
    assert answer["score"] == pytest.approx(1 / (1 + np.exp(-answer["logits"][0])))


def test_a_wrong_device_is_wrong_usage_and_a_missing_bundle_a_sentence(folder: Path) -> None:
    write_null_bundle(folder / "null")
    code, _, err = run("dark.png", "--device", "cuda")
    assert code == 2
    assert "it must be auto, cpu, gpu or gpu:N" in err
    code, _, err = run("dark.png", "--model", "nowhere")
    assert code == 1
    assert err.startswith(f"inspectd: {folder / 'nowhere'} is not a model bundle")


@pytest.mark.usefixtures("model")
def test_overlays_that_cannot_be_written_are_a_sentence() -> None:
    code, _, err = run("bright.png", "--out", "dark.png")
    assert code == 1
    assert "cannot be written: File exists." in err


@pytest.mark.usefixtures("model")
def test_of_several_pages_the_worst_is_answered_and_named(folder: Path) -> None:
    dark, bright = Image.open("dark.png"), Image.open("bright.png").resize((30, 20))
    dark.save("pages.tif", save_all=True, append_images=[bright, dark])
    dark.save("moving.webp", save_all=True, append_images=[Image.open("bright.png")])
    code, out, _ = run("pages.tif", "moving.webp", "--out", "seen")
    assert code == 1
    pages, moving = out.splitlines()
    assert pages.startswith("pages.tif: defect (page 2 of 3), defect, score 0.9")
    assert moving.startswith("moving.webp: failed: unsupported: The WEBP file is an animation of 2 frames")
    with Image.open(next((folder / "seen").glob("pages.tif-*"))) as overlay:
        assert overlay.size == (30, 20)
