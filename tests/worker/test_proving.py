"""A worker proves its bundles before it takes work; what does not pass stays out, and what served goes on."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import cv2
import pytest
from support.golden import golden_bundle, spoilt
from support.line import StubLine
from support.networks import with_golden_images, with_int8
from support.site import BRIGHT, DARK, Site, laid_out, picture

from inspectd import config
from inspectd.ledger.database import open_writer, upgrade
from inspectd.ledger.write.queue import Queue
from inspectd.model import devices
from inspectd.worker import worker
from inspectd.worker.channel import WorkerChannel
from inspectd.worker.worker import Worker


def opened(site: Site) -> StubLine:
    """Have a worker in this process load what the configuration names; what it said."""
    url = f"sqlite:///{site.root / 'inspectd.db'}"
    upgrade(url)
    line = StubLine()
    with ThreadPoolExecutor(1) as pool:
        Worker(config.load(site.config), Queue(open_writer(url)), cast(WorkerChannel, line)).open_lanes(pool)
    return line


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.incoming.mkdir()
    return site


def test_a_bundle_that_is_not_reproduced_stays_out_and_the_one_before_goes_on(tmp_path: Path) -> None:
    with laid_out(tmp_path) as site:
        good = golden_bundle(tmp_path / "models", "good")
        spoilt(good, tmp_path / "models" / "bad", 0.5)
        site.write({"model": "models/good"})
        daemon = site.start()
        daemon.heard("READY=1")
        site.drop("a.png", picture(BRIGHT))
        assert site.outcomes(1) == {"a.png": "defect"}

        site.write({"model": "models/bad"})
        daemon.process.send_signal(signal.SIGHUP)
        notice = daemon.heard("does not reproduce 8 of its 8 golden images on cpu in float32")
        assert "50.00% of the validation logit gap, 1% is allowed" in notice
        (detail,) = site.rows("select detail from events where kind = 'reload-refused'")[0]
        assert detail.startswith("reload refused, the earlier configuration stays in force: good@")
        assert "does not reproduce 8 of its 8 golden images" in detail
        assert "does not reproduce 8 of its 8 golden images" in daemon.log.read_text()
        site.drop("b.png", picture(DARK))
        assert site.outcomes(2)["b.png"] == "ok"
        assert site.rows("select distinct model from verdicts") == [(good.title,)]
        assert daemon.stop() == 0


def test_a_start_with_nothing_that_passes_is_a_wrong_configuration(tmp_path: Path) -> None:
    with laid_out(tmp_path) as site:
        spoilt(golden_bundle(tmp_path / "models", "good"), tmp_path / "models" / "bad", -0.02)
        site.write({"model": "models/bad"})
        daemon = site.start()
        assert daemon.ends() == 78
        assert "off by 2.00% of the validation logit gap, 1% is allowed" in daemon.log.read_text()


def test_every_golden_image_is_a_sign_of_life(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PULSE", 0)
    golden_bundle(site.root / "models", "good")
    site.write({"model": "models/good"})
    assert opened(site).said == 8 + 1, "and that it is ready"


def test_a_daemon_judges_in_int8(tmp_path: Path) -> None:
    with laid_out(tmp_path) as site:
        bundle = with_golden_images(tmp_path)(tmp_path / "models" / "plain", 100.0)
        images = [cv2.imread(str(path)) for path in sorted(bundle.path.glob("golden/*.png"))]
        quantised = with_int8(bundle, tmp_path / "models" / "fast", images)
        site.write({"model": "models/fast"}, worker={"batch": 1, "device": "cpu", "precision": "int8"})
        daemon = site.start()
        daemon.heard("READY=1")
        for name in ("a.png", "b.png"):
            site.drop(name, picture(DARK, 48, seed=ord(name[0])))
        site.outcomes(2)
        assert site.rows("select distinct precision, device from inspections") == [("int8", "cpu")]
        assert site.rows("select distinct model from verdicts") == [(quantised.title,)]
        assert "golden images on cpu in int8" in daemon.log.read_text()
        assert "XNNPACK" not in daemon.log.read_text()
        assert daemon.stop() == 0


def test_the_choice_of_precision_lies_beside_the_ledger(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "processor_has_bfloat16", lambda: True)
    with_golden_images(site.root)(site.root / "models" / "close", 1e-3)
    site.write({"model": "models/close"}, worker={"batch": 1, "device": "cpu"})
    opened(site)
    assert '"precision": "float32"' in (site.root / "precisions.json").read_text()
