"""Bundles with tiles: the worst tile decides, the heat covers the whole image, and memory stays small."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.networks import Case

import inspectd
from inspectd.domain import METHOD_NAMES, Verdict
from inspectd.model.bundle import Bundle, load_bundle, write_bundle
from inspectd.model.engine.backend import keras
from inspectd.model.explanation import explain
from inspectd.model.golden import Sighting, golden_files
from inspectd.model.inspector import Finding, Inspector
from inspectd.model.loading import open_inspector, verify
from inspectd.model.null import STEEPNESS, write_null_bundle
from inspectd.model.spec import HeatScale, ImageClass, Thresholds, Tiles
from inspectd.rehearsal.textures import SIZE, texture
from inspectd.vision.regions import strength

DEMO = Path(inspectd.__file__).parent / "demo" / "model"


def look(inspector: Inspector, *images: np.ndarray) -> list[Finding]:
    return inspector.inspect([inspector.prepare(image) for image in images])


def grey(level: int, height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def logit(level: float) -> float:
    """Of the null network."""
    return STEEPNESS * (level / 255 - 0.5)


@pytest.fixture
def null(tmp_path: Path) -> Inspector:
    """Tiles of 64 pixels that share 16."""
    return open_inspector(write_null_bundle(tmp_path / "null", tiles=Tiles(16)))


class TestNull:
    def test_one_bright_tile_decides(self, null: Inspector) -> None:
        image = grey(20, 300, 500)
        image[96:160, 192:256] = 250  # the very tile that begins there
        dark, bright = look(null, grey(20, 300, 500), image)
        assert (dark.verdict, bright.verdict) == (Verdict.OK, Verdict.DEFECT)
        assert dark.logits == (pytest.approx(logit(20), abs=1e-5),)
        assert bright.logits == (pytest.approx(logit(250), abs=1e-5),)
        (region,) = explain(bright, (500, 300), None).regions
        assert np.abs(np.subtract((region.x, region.y, region.width, region.height), (192, 96, 64, 64))).max() <= 8

    def test_an_image_of_the_size_of_a_tile_is_judged_as_without_tiles(self, null: Inspector, tmp_path: Path) -> None:
        image = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
        (found,) = look(null, image)
        (wanted,) = look(open_inspector(write_null_bundle(tmp_path / "whole")), image)
        assert np.allclose(found.heat, wanted.heat, atol=1e-6)
        assert (found.logits, found.verdict, found.score) == (wanted.logits, wanted.verdict, wanted.score)
        assert found.maxima == pytest.approx(wanted.maxima)

    def test_a_small_image_is_not_enlarged(self, null: Inspector) -> None:
        image = grey(0, 16, 24)
        image[8:, 16:] = 255
        (finding,) = look(null, image)
        assert finding.heat.tolist() == [[0, 0, 0], [0, 0, 1]]

    def test_images_of_all_sizes_share_the_calls_of_the_network(self, tmp_path: Path) -> None:
        calls: list[None] = []
        bundle = write_null_bundle(tmp_path / "null", tiles=Tiles(0))
        inspector = open_inspector(bundle, alive=lambda: calls.append(None))
        inspector.warm_up(4)
        images = [grey(level, 64, 64 * tiles) for level, tiles in ((10, 1), (200, 5), (90, 3))]
        together = look(inspector, *images)
        assert len(calls) == 3  # of nine tiles
        for finding, image in zip(together, images, strict=True):
            (alone,) = look(inspector, image)
            assert finding.logits == alone.logits
            assert np.array_equal(finding.heat, alone.heat)

    def test_golden_images_are_reproduced_whole(self, null: Inspector, tmp_path: Path) -> None:
        sightings = []
        for number, level in enumerate((20, 60, 180, 240)):
            image = grey(10, 100, 150)
            image[30:94, 40:104] = level
            path = tmp_path / f"{level}.png"
            Image.fromarray(image).save(path)
            sightings.append(Sighting(path, int(number > 1), look(null, image)[0].logits[0]))
        files = dict(golden_files(null, sightings, 0.0).files)
        bundle = write_bundle(tmp_path / "golden", null.bundle.spec, files, null.bundle)
        (proof,) = verify(bundle, "cpu", "auto")
        assert proof.passed
        assert len(proof.images) == 4


@keras.saving.register_keras_serializable("tests")
class Root(keras.layers.Layer):
    """No number for what is below zero."""

    def call(self, inputs: object) -> object:
        return keras.ops.sqrt(inputs)


def brightness(folder: Path, *, root: bool = False, scales: tuple[float, float] = (1.0, 1.0)) -> Bundle:
    """A network that answers with the mean red (`stain`) and green (`scratch`) of a tile of 32 pixels, less ¼."""
    pixels = keras.Input((32, 32, 3))
    maps = keras.layers.Conv2D(3, 4, 4, use_bias=False, name="maps")
    answer = keras.layers.Dense(3)
    means = answer(keras.layers.GlobalAveragePooling2D()(maps(pixels)))
    network = keras.Model(pixels, Root()(means) if root else means)
    maps.kernel.assign(np.eye(3, dtype=np.float32)[None, None] * np.ones((4, 4, 1, 1), np.float32) / 16)
    answer.kernel.assign(np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], np.float32))
    answer.bias.assign(np.array([0.25, -0.25, -0.25], np.float32))
    heat_scale = {
        method: {"stain": HeatScale(0.0, scales[0]), "scratch": HeatScale(0.005, scales[1])} for method in METHOD_NAMES
    }
    return Case(network, lambda _: (None, None), "maps", 32, "softmax").bundle(
        folder,
        classes=(ImageClass("ok", True), ImageClass("stain", False), ImageClass("scratch", False)),
        heat_scale=heat_scale,
        tiles=Tiles(0),
        thresholds=Thresholds(0.5),
    )


def coloured(*colours: tuple[int, int, int]) -> np.ndarray:
    """Tiles of one colour each, side by side."""
    return np.concatenate([np.full((32, 32, 3), colour, np.uint8) for colour in colours], axis=1)


def test_tiles_that_explain_different_classes_are_stitched_on_one_scale(tmp_path: Path) -> None:
    inspector = open_inspector(brightness(tmp_path, scales=(0.02, 0.018)), "cpu", "float32")
    red, green, dark = (200, 0, 0), (0, 255, 0), (0, 0, 0)
    alone = {colour: look(inspector, coloured(colour))[0] for colour in (red, green, dark)}
    (finding,) = look(inspector, coloured(dark, red, green))
    assert (alone[red].label, alone[green].label, finding.label) == ("stain", "scratch", "scratch")
    assert finding.logits == alone[green].logits
    assert finding.heat.shape == (8, 24)
    shown = strength(finding.heat, finding.scale.low, finding.scale.high)
    for number, colour in enumerate((dark, red, green)):
        wanted = strength(alone[colour].heat, alone[colour].scale.low, alone[colour].scale.high)
        assert np.allclose(shown[:, 8 * number : 8 * number + 8], wanted, atol=1e-4)
    assert 0 < shown[:, 8:].min() < 1
    measured = inspector.inspect([inspector.prepare(coloured(dark, red, green))], METHOD_NAMES)[0].maxima
    assert measured["gradcam"] == pytest.approx(finding.heat.max(), rel=1e-5)


def test_a_tile_without_an_answer_is_for_review_unless_another_is_a_defect(tmp_path: Path) -> None:
    inspector = open_inspector(brightness(tmp_path, root=True), "cpu", "float32")
    dark, good, bad = (0, 0, 0), (70, 70, 0), (255, 255, 0)
    found = {tiles: look(inspector, coloured(*tiles))[0] for tiles in ((good, good), (good, dark), (bad, dark, good))}
    assert [finding.verdict for finding in found.values()] == [Verdict.OK, Verdict.REVIEW, Verdict.DEFECT]
    assert all(np.isfinite(finding.heat).all() for finding in found.values())


def test_the_shipped_model_finds_a_small_defect_in_a_large_surface(tmp_path: Path) -> None:
    shipped = load_bundle(DEMO)
    bundle = write_bundle(tmp_path / "tiled", replace(shipped.spec, tiles=Tiles(64)), {}, shipped)
    good, bad = texture(113, 4, False), texture(113, 4, True)
    row = np.concatenate([good.pixels, good.pixels[:, ::-1], good.pixels], axis=1)
    surface = np.concatenate([row, row[::-1]])
    spoilt = surface.copy()
    spoilt[:SIZE, 2 * SIZE :] = bad.pixels
    rgb = [np.repeat(plane[..., np.newaxis], 3, axis=2) for plane in (surface, spoilt)]
    inspector = open_inspector(bundle, "cpu", "float32")
    inspector.warm_up(4)
    clean, defect = look(inspector, *rgb)
    assert (clean.verdict, defect.verdict) == (Verdict.OK, Verdict.DEFECT)
    size = (3 * SIZE, 2 * SIZE)
    assert explain(clean, size, None).regions == []
    (region,) = explain(defect, size, None).regions
    rows, columns = np.nonzero(bad.mask)
    x, y = 2 * SIZE + columns.mean(), rows.mean()
    assert region.x - 16 <= x <= region.x + region.width + 16
    assert region.y - 16 <= y <= region.y + region.height + 16


@pytest.mark.long
def test_twenty_megapixels_take_little_more_than_their_own_pixels(tmp_path: Path) -> None:
    pixels = keras.Input((256, 256, 3))
    maps = keras.layers.Conv2D(4, 8, 8, activation="relu", name="maps")(pixels)
    network = keras.Model(pixels, keras.layers.Dense(2)(keras.layers.GlobalMaxPooling2D()(maps)))
    bundle = Case(network, lambda _: (None, None), "maps", 256, "softmax").bundle(tmp_path, tiles=Tiles(32))
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from inspectd.model.bundle import load_bundle
from inspectd.model.explanation import explain
from inspectd.model.loading import open_inspector
from inspectd.worker.judge import stored_heat
inspector = open_inspector(load_bundle(Path(sys.argv[1])), "cpu", "float32")
inspector.warm_up(8)
image = np.random.default_rng(1).integers(0, 256, (3648, 5472, 3), np.uint8)
inspector.inspect([inspector.prepare(image[:600, :600])])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(finding,) = inspector.inspect([inspector.prepare(image)])
explain(finding, (5472, 3648), None)
stored_heat(finding.heat)
print(finding.heat.shape, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before >> 10)
"""
    ran = subprocess.run([sys.executable, "-c", code, str(bundle.path)], capture_output=True, check=True, text=True)
    shape, grown = ran.stdout.rsplit(maxsplit=1)
    assert shape == "(456, 684)"
    assert int(grown) < 40, "MiB; the image alone has 57"
