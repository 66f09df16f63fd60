"""Files with several pages: the worst page decides, and verdict, overlay and everything after them are about it."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.line import work_off
from support.site import BRIGHT, DARK, Site
from support.tiff import page, tiff
from typer.testing import CliRunner

from inspectd import config
from inspectd.cli.main import app
from inspectd.domain import Stat
from inspectd.ledger.database import open_writer, upgrade
from inspectd.ledger.records import Arrival, Redraw
from inspectd.ledger.write.queue import Queue
from inspectd.model.loading import open_inspector
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import Thresholds, Tiles
from inspectd.worker import judge
from inspectd.worker.redraw import redrawn

SECOND = (70, 90)  # height and width of the second page


def sheet(level: int, size: tuple[int, int] = (40, 50)) -> np.ndarray:
    return np.random.default_rng(level).integers(level - 9, level + 9, size, dtype=np.uint8)


STACKS = {
    "second.tif": [sheet(DARK), sheet(BRIGHT, SECOND), sheet(DARK + 1)],
    "good.tif": [sheet(DARK), sheet(DARK + 30)],
    "single.tif": [sheet(BRIGHT)],
    "equal.tif": [sheet(BRIGHT), sheet(BRIGHT)],
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.incoming.mkdir()
    site.write(sidecar=True, overlay={"format": "png"})
    return site


def judged(site: Site, stacks: dict[str, list[np.ndarray]] = STACKS) -> None:
    """What a worker makes of files with these pages."""
    url = f"sqlite:///{site.root / 'inspectd.db'}"
    upgrade(url)
    queue = Queue(open_writer(url))
    for name, sheets in stacks.items():
        (site.incoming / name).write_bytes(tiff(*map(page, sheets)))
    arrivals = [Arrival(name, Stat.of((site.incoming / name).stat())) for name in stacks]
    queue.arrivals.enqueue("line", arrivals)
    work_off(config.load(site.config), queue)


@pytest.mark.parametrize("tiles", [None, Tiles(16)], ids=["whole", "tiles"])
@pytest.mark.parametrize("kept", [judge.PIXELS_KEPT, 0], ids=["kept", "made again"])
def test_the_worst_page_decides_and_is_named(
    site: Site, monkeypatch: pytest.MonkeyPatch, kept: int, tiles: Tiles | None
) -> None:
    monkeypatch.setattr(judge, "PIXELS_KEPT", kept)  # what is kept of a batch between reading, network and overlay
    write_null_bundle(site.root / "models" / "null", tiles=tiles)
    judged(site)
    found = site.rows(
        "select path, images.verdict, reason, page from images join inspections on image_id = images.id order by path"
    )
    assert found == [
        ("equal.tif", "defect", "page 1 of 2", 1),
        ("good.tif", "ok", "page 2 of 2", 2),
        ("second.tif", "defect", "page 2 of 3", 2),
        ("single.tif", "defect", None, None),
    ]
    [(overlay, regions)] = site.rows(
        "select overlay, regions from inspections join images on image_id = images.id where path = 'second.tif'"
    )
    with Image.open(site.root / "output" / overlay) as picture:
        assert picture.size == SECOND[::-1]
    assert json.loads(regions)[0].items() >= {"x": 0, "y": 0, "width": SECOND[1], "height": SECOND[0]}.items()
    sidecar = (site.root / "output" / overlay).with_suffix(".json")
    assert json.loads(sidecar.read_text())["reason"] == "page 2 of 3"


def test_an_overlay_is_drawn_again_from_its_page(site: Site) -> None:
    bundle = write_null_bundle(site.root / "models" / "null")
    judged(site)
    [(overlay, number)] = site.rows(
        "select overlay, page from inspections join images on image_id = images.id where path = 'second.tif'"
    )
    sha256 = hashlib.sha256((site.incoming / "second.tif").read_bytes()).hexdigest()
    other = write_null_bundle(site.root / "other", thresholds=Thresholds(defect=-5.0))  # every page is a defect to it
    wanted = Redraw(1, 1, overlay, "line", "second.tif", None, sha256, "gradcam", number)
    [(path, drawn)] = redrawn(config.load(site.config), {1: open_inspector(bundle)}, [wanted])
    assert drawn == path.read_bytes()
    [(_, drawn)] = redrawn(config.load(site.config), {1: open_inspector(other)}, [wanted])
    assert Image.open(io.BytesIO(drawn)).size == SECOND[::-1]


def test_a_page_that_is_no_picture_fails_the_file_and_is_named(site: Site) -> None:
    write_null_bundle(site.root / "models" / "null")
    site.write({"settle": 0.05})
    signed = page(sheet(DARK).astype(np.int16), t339=(3, [2]))
    site.drop("broken.tif", tiff(page(sheet(DARK)), page(sheet(DARK)), signed))
    daemon = site.start()
    site.outcomes(1)
    daemon.stop()
    [(verdict, reason)] = site.rows("select verdict, reason from verdicts")
    assert verdict == "failed"
    assert reason.startswith("unsupported: Page 3 of 3: ")


def test_show_and_results_name_the_page(site: Site) -> None:
    write_null_bundle(site.root / "models" / "null")
    judged(site)
    shown = CliRunner().invoke(app, ["show", "second.tif", "--config", str(site.config)]).stdout
    assert "(page 2 of 3), seen in 90 × 70 pixels" in " ".join(shown.split())
    listed = CliRunner().invoke(app, ["results", "--config", str(site.config)]).stdout
    assert "page 2 of 3" in listed
    assert "page 2 of 2" in listed
