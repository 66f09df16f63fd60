"""An overlay drawn again shows what the lost one showed, however the worker explains by now."""

import hashlib
from pathlib import Path

from support.networks import sequential
from support.site import DARK, Site, picture

from inspectd import config
from inspectd.ledger.records import Redraw
from inspectd.model.inspector import open_inspector
from inspectd.model.spec import ALL_METHODS, HeatScale
from inspectd.worker.redraw import redrawn


def test_it_is_explained_by_the_method_of_its_verdict(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.incoming.mkdir()
    high = {"gradcam": 0.002, "layercam": 0.005, "hirescam": 0.008}
    scales = {method: dict.fromkeys(("ok", "scratch"), HeatScale(0.0, high[method])) for method in ALL_METHODS}
    bundle = sequential().bundle(tmp_path, heat_scale=scales)
    site.write({"model": str(bundle.path)})
    content = picture(DARK, seed=3)
    site.drop("a.png", content)
    digest = hashlib.sha256(content).hexdigest()
    wanted = [Redraw(1, 7, f"{method}.png", "line", "a.png", None, digest, method) for method in ALL_METHODS]
    inspectors = [open_inspector(bundle, "cpu", "float32", method) for method in ALL_METHODS]
    first, *others = [dict(redrawn(config.load(site.config), {7: each}, wanted)) for each in inspectors]
    assert others == [first, first]
    assert len(set(first.values())) == 3
