"""The stages as they are, on something tiny: real networks, the real daemon, one round of each."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from support.networks import with_int8

from inspectd.bench.bench import BenchOptions, bench, thread_counts
from inspectd.bench.network import Network
from inspectd.bench.report import (
    ARTICLE,
    CLAIM,
    END_TO_END,
    ENQUEUE,
    FORWARD,
    GRADCAM,
    HOST,
    HOST_CORE,
    LATENCY,
    READY,
    VIS,
)
from inspectd.bench.site import SEED, Stock, camera_album, pixels_of
from inspectd.bench.ways import article, compiled, tf_keras_vis
from inspectd.domain import Precision
from inspectd.model import devices
from inspectd.model.bundle import NETWORK, Bundle, write_bundle
from inspectd.model.engine.backend import keras
from inspectd.model.loading import open_inspector
from inspectd.model.networks import build_network
from inspectd.model.null import write_null_bundle
from inspectd.model.preparation import prepare
from inspectd.model.spec import HeatScale, ImageClass, Preparation, Spec, Thresholds


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    keras.utils.set_random_seed(SEED)
    to = Preparation(32, 32)
    network = build_network("compact", None, "avg", 2, to)
    network.layers[-1].kernel.assign(keras.ops.abs(network.layers[-1].kernel))
    folder = tmp_path_factory.mktemp("tiny")
    network.save(folder / NETWORK)
    spec = Spec(
        name="tiny",
        classes=(ImageClass("ok", True), ImageClass("defect", False)),
        activation="sigmoid",
        preparation=to,
        thresholds=Thresholds(0.0),
        heat_scale={"gradcam": {"defect": HeatScale(0.0, 1.0)}},
        layer="stage4_relu",
    )
    return write_bundle(folder / "bundle", spec, {NETWORK: folder / NETWORK})


def test_every_way_computes_what_the_inspector_finds(tiny: Bundle) -> None:
    """Else it would be measured how fast something else is."""
    inspector = open_inspector(tiny, "cpu", "float32")
    images = [inspector.prepare(pixels) for pixels in pixels_of(camera_album(), 3)]
    findings = inspector.inspect(images)
    logits = compiled(tiny, "float32")(np.stack(images))
    np.testing.assert_allclose(logits, [finding.logits for finding in findings], rtol=1e-4, atol=1e-5)
    judge, explain = article(tiny), tf_keras_vis(tiny)
    for image, finding in zip(images, findings, strict=True):
        assert finding.heat.max() > 0
        expected = finding.heat / finding.heat.max()
        heat = judge(image)
        np.testing.assert_allclose(heat / heat.max(), expected, atol=1e-3)
        enlarged = explain(image[np.newaxis])[0]
        assert enlarged.shape == (32, 32)


def test_int8_is_one_of_the_ways_where_the_model_has_it(
    tiny: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "processor_has_int8", lambda: True)
    pictures = pixels_of(camera_album(), 3)
    images = [prepare(pixels, tiny.spec.preparation) for pixels in pictures]
    bundle = with_int8(tiny, tmp_path / "int8", images)
    logits = [finding.logits for finding in open_inspector(bundle, "cpu", "int8").inspect(images)]
    np.testing.assert_allclose(compiled(bundle, "int8")(np.stack(images)), logits, rtol=1e-4, atol=1e-5)
    network = Network(bundle, pictures, seconds=0.0, least=0.0)
    assert "int8" in network.precisions
    assert {line.precision for measure in network.measures for line in measure()} >= {"int8", "float32"}
    assert "int8" not in Network(with_int8(tiny, tmp_path / "worse", images, auc=0.9), pictures, 0.0, 0.0).precisions


def test_the_network_is_measured_in_every_way_and_what_is_not_is_said(tiny: Bundle) -> None:
    network = Network(tiny, pixels_of(camera_album(), 2), least=0.0)
    found = {line: rate for measure in network.measures for line, rate in measure().items()}
    assert {line.name for line in found} == {FORWARD, GRADCAM, ARTICLE, VIS}
    assert {line.batch for line in found if line.name == GRADCAM} >= {1, 4, 16}
    assert all(rate > 0 for rate in found.values())
    assert {line.precision for line in found} == set(network.precisions)
    missing = set(get_args(Precision)) - set(network.precisions)
    assert {sentence.partition(":")[0] for sentence in network.left_out} == missing


def test_large_batches_are_left_out_where_the_time_is_too_short_for_them(tiny: Bundle) -> None:
    network = Network(tiny, pixels_of(camera_album(), 2), seconds=0.0, least=0.0)
    assert {line.batch for measure in network.measures for line in measure() if line.name == GRADCAM} == {1}
    assert any(sentence.startswith("batches of 4 and more:") for sentence in network.left_out)


def test_all_around_the_network_is_measured_once_through_the_real_daemon(tmp_path: Path) -> None:
    """The null network has the daemon's whole way and no TensorFlow; a clock that stands still gives one round each."""
    bundle = write_null_bundle(tmp_path / "null")
    said: list[str] = []
    report = bench(BenchOptions(model=bundle.path, minutes=0), said.append, clock=lambda: 0.0)
    rounds = {line.name: values for line, values in report.numbers.items()}
    assert set(rounds) == {HOST, HOST_CORE, ENQUEUE, CLAIM, END_TO_END, READY, LATENCY}
    assert all(len(values) == 1 and values[0] > 0 for values in rounds.values())
    assert report.left_out == ("network: the null network has none.",)
    assert report.images["first"]["size"] == [512, 512]
    assert json.dumps(report.as_dict())


def test_the_stock_has_new_names_in_every_run_and_the_same_content(tmp_path: Path) -> None:
    stock = Stock(tmp_path / "stock", camera_album(), 3)
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    first = stock.move(incoming)
    contents = [(incoming / name).read_bytes() for name in first]
    second = stock.move(incoming)
    assert len(set(contents)) == len(contents) == len(stock) == 3
    assert not set(first) & set(second)
    assert [(incoming / name).read_bytes() for name in second] == contents


def test_threads_are_tried_by_doubling_up_to_the_cores() -> None:
    assert [thread_counts(most) for most in (1, 2, 3, 8, 12)] == [
        [1],
        [1, 2],
        [1, 2, 3],
        [1, 2, 4, 8],
        [1, 2, 4, 8, 12],
    ]
