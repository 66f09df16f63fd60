"""The daemon tests the explanation of a rejection, records it, and says it wherever the verdict is shown."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from support.line import work_off
from support.site import Site
from typer.testing import CliRunner

from inspectd import config
from inspectd.cli.main import app
from inspectd.domain import Stat
from inspectd.ledger.database import open_writer, upgrade
from inspectd.ledger.records import Arrival
from inspectd.ledger.write.queue import Queue
from inspectd.model.bundle import write_bundle
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import HeatScale, Thresholds
from inspectd.vision.overlay import encode


@pytest.fixture
def site(site: Site) -> Site:
    """Its model rejects what is not dark, and knows how dark good images are."""
    model = site.root / "models" / "null"
    draft = write_null_bundle(site.root / "draft", thresholds=Thresholds(-4.5))
    scale = {method: {"defect": HeatScale(0.2, 0.6)} for method in draft.spec.heat_scale}
    shutil.rmtree(model)
    write_bundle(model, replace(draft.spec, heat_scale=scale, good_margin=-5.0), {})
    site.write(sidecar=True, worker={"batch": 4})
    return site


def spotted(seed: int) -> bytes:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[16:32, 24:40] = 255 - seed
    return encode(pixels, "png")


def queue_of(site: Site, count: int) -> Queue:
    url = f"sqlite:///{site.root / 'inspectd.db'}"
    upgrade(url)
    queue = Queue(open_writer(url))
    paths = [site.drop(f"{number}.png", spotted(number)) for number in range(count)]
    queue.arrivals.enqueue("line", [Arrival(path.name, Stat.of(path.stat())) for path in paths])
    return queue


def test_what_carries_the_verdict_is_recorded_and_said(site: Site) -> None:
    work_off(config.load(site.config), queue_of(site, 2))
    rows = site.rows("select support, verdict_falls, overlay from inspections order by image_id")
    assert len(rows) == 2
    for support, falls, overlay in rows:
        assert support > 0.8
        assert falls == 1
        record = json.loads((site.root / "output" / overlay).with_suffix(".json").read_text())
        assert (record["verdict"], record["support"]) == ("defect", support)
    shown = CliRunner().invoke(app, ["show", "0.png", "-c", str(site.config)]).output
    assert "%; without the regions the image is rejected no longer" in shown
    [details] = json.loads(CliRunner().invoke(app, ["show", "0.png", "--json", "-c", str(site.config)]).output)
    assert details["inspections"][0]["support"] == rows[0][0]


def test_while_more_images_wait_than_a_batch_holds_nothing_is_tested(site: Site) -> None:
    work_off(config.load(site.config), queue_of(site, 8))
    assert site.rows("select count(*), count(support) from inspections") == [(8, 0)]
