"""The int8 part: it finds what float32 finds, is taken where it may be, and what cannot be had is said."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.networks import Case, sequential, subclassed, with_golden_images, with_int8

from inspectd.domain import METHOD_NAMES, Precision
from inspectd.errors import BundleError
from inspectd.model import devices
from inspectd.model.bundle import INT8, Bundle, load_bundle, write_bundle
from inspectd.model.choices import Choices
from inspectd.model.engine.backend import keras
from inspectd.model.int8 import convert
from inspectd.model.keras_inspector import KerasInspector
from inspectd.model.loading import load_inspector, open_inspector
from inspectd.model.proof import cosine, grid
from inspectd.model.spec import Tiles

layers = keras.layers


@keras.saving.register_keras_serializable("tests")
class Unusual(layers.Layer):
    """What TensorFlow Lite does not know."""

    def call(self, maps: Any) -> Any:
        return keras.ops.erfinv(keras.ops.tanh(maps) * 0.5)


@pytest.fixture(scope="module")
def trial() -> Case:
    keras.utils.set_random_seed(7)
    return sequential()


@pytest.fixture(scope="module")
def exact(trial: Case, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return trial.bundle(tmp_path_factory.mktemp("exact"))


@pytest.fixture(scope="module")
def coarse(exact: Bundle, trial: Case) -> Bundle:
    return with_int8(exact, exact.path.with_name("coarse"), trial.images(4))


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float, float], Bundle]:
    """Makes bundles with golden images and an int8 part, by the logit gap and the AUC that int8 had."""
    folder = tmp_path_factory.mktemp("proven")
    keras.utils.set_random_seed(7)
    make = with_golden_images(folder)
    samples = sequential().images(4)

    def made(gap: float, auc: float) -> Bundle:
        name = f"{gap}-{auc}"
        return with_int8(make(folder / f"plain-{name}", gap), folder / name, samples, auc)

    return made


def close(found: Any, wanted: Any) -> bool:
    spread = np.abs(wanted.logits).max()
    heats = cosine(grid(found.heat), grid(wanted.heat), 0.0)
    return bool(np.abs(np.subtract(found.logits, wanted.logits)).max() < 0.05 * spread and heats > 0.99)


def test_it_finds_what_float32_finds_by_every_method_in_batches_of_any_size(
    trial: Case, exact: Bundle, coarse: Bundle
) -> None:
    images = trial.images(5)
    wanted = load_inspector(exact, "cpu", "float32").inspect(images, METHOD_NAMES)
    inspector = load_inspector(coarse, "cpu", "int8")
    inspector.warm_up(4)
    for method in METHOD_NAMES:
        found = inspector.inspect(images, (method,))
        alike = load_inspector(exact, "cpu", "float32", method).inspect(images)
        assert all(map(close, found, alike)), method
    found = inspector.inspect(images, METHOD_NAMES)
    assert all(map(close, found, wanted))
    assert [each.logits for each in found] != [each.logits for each in wanted], "int8 was not used"


def test_a_class_of_its_own_is_cut_as_well(tmp_path: Path) -> None:
    case = subclassed()
    bundle = case.bundle(tmp_path)
    images = case.images(3)
    found = load_inspector(with_int8(bundle, tmp_path / "coarse", images), "cpu", "int8").inspect(images)
    assert all(map(close, found, load_inspector(bundle, "cpu", "float32").inspect(images)))


def test_tiles(trial: Case, coarse: Bundle) -> None:
    tiled = replace(coarse, spec=replace(coarse.spec, tiles=Tiles(8)))
    large = np.random.default_rng(3).integers(0, 256, (88, 48, 3), np.uint8)
    inspectors = [load_inspector(tiled, "cpu", precision) for precision in ("int8", "float32")]
    (found,), (wanted,) = (inspector.inspect([inspector.prepare(large)]) for inspector in inspectors)
    assert close(found, wanted)
    assert trial.size < found.heat.shape[0] * large.shape[1]


class TestAuto:
    @pytest.fixture(autouse=True)
    def with_int8_instructions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(devices, "processor_has_int8", lambda: True)
        monkeypatch.setattr(devices, "processor_has_bfloat16", lambda: False)

    def test_takes_it_first(self, proven: Callable[[float, float], Bundle]) -> None:
        inspector = open_inspector(proven(100.0, 1.0), "cpu")
        assert (inspector.precision, inspector.remarks) == ("int8", [])

    @pytest.mark.parametrize(("faster", "slower"), [("int8", "bfloat16"), ("bfloat16", "int8")])
    def test_takes_what_is_faster_here_and_remembers_it(
        self,
        faster: Precision,
        slower: Precision,
        proven: Callable[[float, float], Bundle],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def timed(inspector: KerasInspector, _: int) -> float:
            measured.append(inspector.precision)
            return {faster: 0.1, slower: 0.2}[inspector.precision]

        measured: list[str] = []
        monkeypatch.setattr(devices, "processor_has_bfloat16", lambda: True)
        monkeypatch.setattr(KerasInspector, "warm_up", timed)
        bundle, choices = proven({"int8": 102.0, "bfloat16": 103.0}[faster], 1.0), Choices(tmp_path / "precisions.json")
        for _ in range(2):
            inspector = open_inspector(bundle, "cpu", choices=choices)
            assert inspector.precision == faster
            assert [f"{slower} takes 25 ms" in remark for remark in inspector.remarks] == [True] * (faster != "int8")
        assert set(measured) == {faster, slower}
        assert len(measured) == 6, "the second time nothing is measured"

    def test_not_where_it_ranked_worse_on_the_validation_images(self, proven: Callable[[float, float], Bundle]) -> None:
        bundle = proven(100.0, 0.99)
        assert open_inspector(bundle, "cpu").precision == "float32"
        assert open_inspector(bundle, "cpu", "int8").precision == "int8", "who asks for it gets it"

    def test_not_where_a_golden_image_is_too_far_off(self, proven: Callable[[float, float], Bundle]) -> None:
        bundle = proven(1e-4, 1.0)
        inspector = open_inspector(bundle, "cpu")
        assert inspector.precision == "float32"
        assert "golden images on cpu in int8" in inspector.remarks[0]
        with pytest.raises(BundleError, match=r"in int8: golden/.*25% is allowed.*Set `precision: auto`"):
            open_inspector(bundle, "cpu", "int8")

    def test_not_on_a_processor_without_the_instructions(
        self, proven: Callable[[float, float], Bundle], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(devices, "processor_has_int8", lambda: False)
        bundle = proven(101.0, 1.0)
        assert open_inspector(bundle, "cpu").precision == "float32"
        assert "no int8 of its own" in open_inspector(bundle, "cpu", "int8").remarks[0]


def test_a_bundle_without_it_says_how_to_make_it(exact: Bundle) -> None:
    with pytest.raises(BundleError, match=r"has no int8 part.*inspectd model quantize"):
        load_inspector(exact, "cpu", "int8")


def test_a_byte_that_was_changed_is_found(coarse: Bundle, tmp_path: Path) -> None:
    copy = write_bundle(tmp_path / "copy", coarse.spec, {INT8: (coarse.path / INT8).read_bytes()}, coarse)
    content = bytearray((copy.path / INT8).read_bytes())
    content[-9] ^= 1
    (copy.path / INT8).write_bytes(content)
    with pytest.raises(BundleError, match=r"int8\.tflite is not what was evaluated"):
        load_bundle(copy.path)


@pytest.mark.parametrize("content", [b"", b"no network", b"\x1c\x00\x00\x00TFL3" + bytes(40)])
def test_a_part_that_is_none_is_refused(content: bytes, exact: Bundle, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", exact.spec, {INT8: content}, exact)
    with pytest.raises(BundleError, match=r"int8\.tflite cannot be used .*Quantise the model again"):
        load_inspector(bundle, "cpu", "int8")


def test_the_part_of_another_network_is_refused(exact: Bundle, tmp_path: Path) -> None:
    other = subclassed()
    foreign = other.bundle(tmp_path)
    part = convert(foreign, other.images(1), lambda *_: None)
    bundle = write_bundle(tmp_path / "mixed", exact.spec, {INT8: part}, exact)
    with pytest.raises(BundleError, match=r"does not turn an image of \(48, 48, 3\)"):
        load_inspector(bundle, "cpu", "int8")


def test_a_network_with_a_way_around_its_target_layer_is_refused(tmp_path: Path) -> None:
    pixels = keras.Input((24, 24, 3))
    maps = layers.Conv2D(4, 3, activation="relu", name="maps")(pixels)
    both = [layers.GlobalAveragePooling2D()(each) for each in (maps, pixels)]
    answer = layers.Dense(2, activation="sigmoid")(layers.Concatenate()(both))
    refused(keras.Model(pixels, answer), tmp_path, "cannot be cut at maps")


def test_a_network_that_cannot_be_converted_is_refused(tmp_path: Path) -> None:
    parts = [
        keras.Input((24, 24, 3)),
        Unusual(),
        layers.Conv2D(4, 3, name="maps"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2, activation="sigmoid"),
    ]
    refused(keras.Sequential(parts), tmp_path, "the part up to maps cannot be quantised to int8: ")


def refused(network: Any, folder: Path, why: str) -> None:
    def no_reference(pixels: Any) -> Any:
        raise NotImplementedError(pixels)

    case = Case(network, no_reference, "maps", 24)
    with pytest.raises(BundleError, match=why):
        convert(case.bundle(folder), case.images(2), lambda *_: None)
