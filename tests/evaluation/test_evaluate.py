"""The shipped model on the synthetic camera: judged, measured, and reported in one file."""

import base64
import csv
import hashlib
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import inspectd
from inspectd.cli.main import app
from inspectd.errors import DataError
from inspectd.evaluation.evaluate import evaluate_folder
from inspectd.model.bundle import Bundle, load_bundle, write_bundle
from inspectd.rehearsal.textures import texture

MODEL = Path(inspectd.__file__).parent / "demo" / "model"


def write(path: Path, index: int, defect: bool) -> np.ndarray:
    """A picture of the camera; gives its mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sample = texture(113, index, defect)
    cv2.imwrite(str(path), sample.pixels)
    return sample.mask


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """9 good images and 6 defects with masks. One of each lies in the other's folder; one file is broken."""
    site = tmp_path_factory.mktemp("site")
    (site / "masks").mkdir()
    for index in range(15):
        defect = index % 5 < 2
        wrong = index in (0, 2)
        mask = write(site / "data" / ("defect" if defect else "ok") / f"{index}.png", index, defect != wrong)
        if defect:
            cv2.imwrite(str(site / "masks" / f"{index}.png"), mask)
    (site / "data" / "ok" / "cut.png").write_bytes((site / "data" / "ok" / "2.png").read_bytes()[:2000])
    return site


@pytest.fixture(scope="module")
def bundle(site: Path) -> Bundle:
    """The shipped model, which says that it learned from one of the images."""
    shipped = load_bundle(MODEL)
    digest = hashlib.sha256((site / "data" / "ok" / "3.png").read_bytes()).hexdigest()
    known = f"path,sha256,class,split\nok/3.png,{digest},ok,train\n".encode()
    return write_bundle(site / "bundle", shipped.spec, {"data.csv": known}, shipped)


@pytest.fixture(scope="module")
def report(site: Path, bundle: Bundle) -> Path:
    """The folder that the command wrote, with what it printed as `printed.txt`."""
    out = site / "out"
    result = CliRunner().invoke(
        app, ["evaluate", str(bundle.path), str(site / "data"), "--masks", str(site / "masks"), "-o", str(out)]
    )
    assert result.exit_code == 0, result.output
    (site / "printed.txt").write_text(result.stdout)
    return out


class Page(HTMLParser):
    """What a report's reader sees, and whatever it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] in ("h1", "h2") and data.strip():
            self.headings.append(data)


class TestReport:
    def test_needs_nothing_from_outside(self, report: Path) -> None:
        text = (report / "report.html").read_text()
        page = Page(text)
        pictures = sorted(report.glob("*.png"))
        assert len(page.sources) == len(pictures) == 7
        shown = {base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in page.sources}
        assert shown == {picture.read_bytes() for picture in pictures}
        assert not {"script", "link", "iframe", "object"} & set(page.tags)
        assert "url(" not in text
        assert "http" not in re.sub(r'src="[^"]*"', "", text)
        for picture in shown:
            with Image.open(io.BytesIO(picture)) as opened:
                opened.load()

    def test_has_its_headings_and_the_answer_first(self, report: Path) -> None:
        page = Page((report / "report.html").read_text())
        assert page.headings == [
            "Evaluation of demo, version 1",
            "Before you rely on this",
            "What was evaluated",
            "Verdicts",
            "Class by class",
            "How well defects and good images are told apart",
            "What the probability is worth",
            "Where the network looked",
            "The worst mistakes",
            "Speed",
            "Files that could not be read",
        ]
        text = (report / "report.html").read_text()
        assert text.index("1 of 6 defects missed") < text.index("What was evaluated")
        assert "ok/cut.png" in text

    def test_what_is_printed(self, report: Path) -> None:
        printed = (report.parent / "printed.txt").read_text()
        assert printed.startswith("1 of 6 defects missed: the escape rate is below")
        assert "1 of 9 good images rejected" in printed
        assert "1 file could not be read" in printed
        assert "Note: 1 of 15 images are training images" in printed
        assert "Note: The mask 0.png marks nothing." in printed
        assert printed.rstrip().endswith(f"The report: {report / 'report.html'}")


class TestNumbers:
    def test_are_those_of_the_images(self, report: Path, bundle: Bundle) -> None:
        numbers = json.loads((report / "metrics.json").read_text())
        assert numbers["bundle"] == {"name": "demo", "version": 1, "identity": bundle.identity}
        assert numbers["data"] == {"folder": "data", "part": "all images", "masks": "masks"}
        assert numbers["confusion"]["counts"] == [[8, 1, 0, 1], [1, 5, 0, 0]]
        assert (numbers["escape"]["count"], numbers["overkill"]["count"]) == (1, 1)
        assert numbers["unreadable"][0]["path"] == "ok/cut.png"
        masks = numbers["heat"]["masks"]
        assert (masks["pointing_game_15px"]["count"], masks["pointing_game_15px"]["of"]) == (5, 5)
        assert 0 < masks["share_of_heat_inside"] < 1
        assert numbers["speed"]["images_per_second"] > 0
        assert set(numbers["speed"]["ms_per_image"]) == {"read", "prepare", "network", "heat"}

    def test_every_key_is_documented_and_no_other(self, report: Path) -> None:
        chapter = (Path(inspectd.__file__).parents[1] / "docs" / "evaluation.md").read_text()
        chapter = chapter.partition("## `metrics.json`")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| (`[^|]+) \|", chapter, re.MULTILINE)
        documented = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
        numbers = json.loads((report / "metrics.json").read_text())
        assert set(numbers) == documented - {"int8"}, "that is told of an evaluation in int8 only"
        within = [
            numbers["heat"],
            numbers["heat"]["masks"],
            numbers["calibration"],
            numbers["speed"],
            numbers["escape"],
        ]
        within += [
            numbers["calibration"]["bins"][0],
            numbers["confusion"],
            *numbers["classes"],
            numbers["unreadable"][0],
        ]
        assert {key for each in within for key in each} <= set(re.findall(r"`(\w+)`", chapter))

    def test_a_row_for_each_image(self, report: Path) -> None:
        rows = list(csv.DictReader((report / "findings.csv").open()))
        assert len(rows) == 15
        assert {row["path"]: row["split"] for row in rows}["ok/3.png"] == "train"
        assert [row["path"] for row in rows if row["class"] == "ok" and float(row["margin"]) > 0] == ["ok/2.png"]


def test_json_is_the_numbers_alone(site: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(MODEL), str(site / "data"), "-o", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((tmp_path / "metrics.json").read_text())
    assert "masks" not in json.loads(result.stdout)["heat"]
    assert not (tmp_path / "distances.png").exists()


def test_the_heat_of_another_method_needs_its_own_scale(site: Path, tmp_path: Path) -> None:
    whole = load_bundle(MODEL)
    spec = replace(whole.spec, heat_scale={"gradcam": whole.spec.heat_scale["gradcam"]})
    bundle = write_bundle(tmp_path / "bundle", spec, {}, whole)
    result = CliRunner().invoke(
        app, ["evaluate", str(bundle.path), str(site / "data"), "-o", str(tmp_path / "out"), "--method", "layercam"]
    )
    assert result.exit_code == 1
    assert "has no heat scale for layercam" in result.stderr
    assert not (tmp_path / "out").exists()


def test_no_mistakes_leave_the_nearest_to_see(tmp_path: Path) -> None:
    for index in range(4):
        write(tmp_path / ("defect" if index % 2 else "ok") / f"{index}.png", index, index % 2 == 1)
    found = evaluate_folder(load_bundle(MODEL), tmp_path, None, lambda _done, _total: None, "cpu")
    assert "0 of 2 defects missed" in found.answer[0]
    sheet = np.asarray(Image.open(io.BytesIO(found.files["mistakes.png"])))
    assert sheet.shape == (64 + 256 + 46 + 16, 16 + 4 * (256 + 16), 3)


class TestRefusals:
    def evaluate(self, data: Path) -> None:
        evaluate_folder(load_bundle(MODEL), data, None, lambda _done, _total: None, "cpu")

    def test_one_side_alone(self, site: Path, tmp_path: Path) -> None:
        shutil.copytree(site / "data" / "ok", tmp_path / "ok")
        with pytest.raises(DataError, match=r"has no defects \(defect\)\. An evaluation needs both"):
            self.evaluate(tmp_path)

    def test_a_side_of_which_nothing_can_be_read(self, tmp_path: Path) -> None:
        write(tmp_path / "ok" / "0.png", 0, False)
        (tmp_path / "defect").mkdir()
        (tmp_path / "defect" / "1.png").write_text("nothing")
        with pytest.raises(DataError, match=r"None of the defects .* could be judged .*defect/1\.png"):
            self.evaluate(tmp_path)

    def test_a_folder_that_is_no_class(self, tmp_path: Path) -> None:
        write(tmp_path / "crack" / "0.png", 0, True)
        with pytest.raises(DataError, match="is not one of the classes ok, defect"):
            self.evaluate(tmp_path)
