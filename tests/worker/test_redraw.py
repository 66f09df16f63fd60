"""An overlay drawn again shows what the lost one showed, however the worker explains by now."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from support.networks import sequential
from support.site import BRIGHT, DARK, Site, deep_picture, picture

from inspectd import config
from inspectd.domain import METHOD_NAMES
from inspectd.ledger.records import Redraw
from inspectd.model.loading import open_inspector
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import HeatScale, Preparation
from inspectd.worker.redraw import redrawn


def test_it_is_explained_by_the_method_of_its_verdict(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.incoming.mkdir()
    high = {"gradcam": 0.002, "layercam": 0.005, "hirescam": 0.008}
    scales = {method: dict.fromkeys(("ok", "scratch"), HeatScale(0.0, high[method])) for method in METHOD_NAMES}
    bundle = sequential().bundle(tmp_path, heat_scale=scales)
    site.write({"model": str(bundle.path)})
    content = picture(DARK, seed=3)
    site.drop("a.png", content)
    digest = hashlib.sha256(content).hexdigest()
    wanted = [Redraw(1, 7, f"{method}.png", "line", "a.png", None, digest, method) for method in METHOD_NAMES]
    inspectors = [open_inspector(bundle, "cpu", "float32", method) for method in METHOD_NAMES]
    first, *others = [dict(redrawn(config.load(site.config), {7: each}, wanted)) for each in inspectors]
    assert others == [first, first]
    assert len(set(first.values())) == 3


def test_a_picture_of_12_bits_is_as_bright_as_it_was_to_the_model(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.incoming.mkdir()
    bundle = write_null_bundle(tmp_path / "models" / "twelve", preparation=Preparation(64, 64, bits=12))
    site.write({"model": "models/twelve"})
    content = deep_picture(BRIGHT, 12)
    site.drop("a.png", content)
    wanted = Redraw(1, 7, "a.jpg", "line", "a.png", None, hashlib.sha256(content).hexdigest(), "gradcam")
    [(_, drawn)] = redrawn(config.load(site.config), {7: open_inspector(bundle)}, [wanted])
    assert cv2.imdecode(np.frombuffer(drawn, np.uint8), cv2.IMREAD_COLOR).mean() > 100
