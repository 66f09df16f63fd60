"""Golden images: which are chosen, what is kept of them, and what a damaged set of them says."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.golden import golden_bundle, null_sightings
from support.site import picture

from inspectd.errors import BundleError
from inspectd.model import golden
from inspectd.model.bundle import Bundle, load_bundle, write_bundle
from inspectd.model.golden import INDEX, Sighting, choose, golden_files, grid, logit_gap, read_golden
from inspectd.model.loading import open_inspector
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import ImageClass


def sightings(folder: Path, margins: list[float]) -> list[Sighting]:
    for number in range(len(margins)):
        (folder / f"{number}.png").write_bytes(picture(100, seed=number))
    return [Sighting(folder / f"{number}.png", 1, margin) for number, margin in enumerate(margins)]


def test_the_nearest_the_middle_and_the_farthest_are_chosen(tmp_path: Path) -> None:
    seen = sightings(tmp_path, [9.0, 1.5, -3.0, 1.0, 5.0, 30.0, 7.0])
    assert [each.margin for each in choose(seen, threshold=1.2)] == [1.0, 1.5, -3.0, 30.0]
    assert [each.margin for each in choose(seen[:3], threshold=1.2)] == [1.5, -3.0, 9.0]


def test_files_that_are_gone_or_large_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = sightings(tmp_path, [1.0, 2.0, 3.0])
    seen[0].path.unlink()
    seen[1].path.write_bytes(bytes(5000))
    monkeypatch.setattr(golden, "MOST_BYTES", 4000)
    assert choose(seen, 0.0) == seen[2:]


def test_a_file_that_changed_is_left_out_and_said(tmp_path: Path) -> None:
    seen = null_sightings(tmp_path)
    seen[-1].path.write_bytes(b"no image any more")
    made = golden_files(open_inspector(write_null_bundle(tmp_path / "null")), seen, 0.0)
    assert len(made.files) == 1 + 7
    assert made.remarks[0].startswith("240.png is not used as a golden image: it changed since it was read (")


def test_the_gap_lies_between_the_medians() -> None:
    classes = (ImageClass("ok", True), ImageClass("defect", False))
    good = [Sighting(Path(), 0, margin) for margin in (-4.0, -3.0, 50.0)]
    bad = [Sighting(Path(), 1, margin) for margin in (2.0, 3.0, -90.0)]
    assert logit_gap(good + bad, classes) == 5.0
    assert logit_gap(good, classes) == -np.inf


def test_what_a_bundle_expects_is_what_its_files_give(tmp_path: Path) -> None:
    bundle = golden_bundle(tmp_path)
    found = read_golden(load_bundle(bundle.path))
    assert found is not None
    assert [image.target for image in found.images] == ["ok"] * 4 + ["defect"] * 4
    assert found.gap == pytest.approx(10 * (200 - 60) / 255, abs=1.0)
    for image in found.images:
        pixels = cv2.imread(str(bundle.path / image.file), cv2.IMREAD_GRAYSCALE)
        logit = 10 * (cv2.resize(pixels, (64, 64)).mean() / 255 - 0.5)
        assert image.logits == (pytest.approx(logit, abs=0.05),)
        assert np.shape(image.heat["gradcam"]) == (16, 16)


def test_originals_are_kept_byte_for_byte_under_plain_names(tmp_path: Path) -> None:
    seen = null_sightings(tmp_path)
    odd = tmp_path / "Teil 1 – größer.PNG"
    odd.write_bytes(seen[0].path.read_bytes())
    made = golden_files(
        open_inspector(write_null_bundle(tmp_path / "null")), [replace(seen[0], path=odd), seen[-1]], 0.0
    )
    assert made.files["golden/000-Teil_1___gr__er.PNG"] == odd.read_bytes()
    assert made.remarks == ()


@pytest.mark.parametrize(
    ("keep", "sentence"),
    [(slice(0, 3), "images of good parts and of defects"), (slice(None), "does not separate defects")],
)
def test_a_useless_network_has_none(keep: slice, sentence: str, tmp_path: Path) -> None:
    seen = [replace(each, margin=-each.margin) for each in null_sightings(tmp_path)][keep]
    made = golden_files(open_inspector(write_null_bundle(tmp_path / "null")), seen, 0.0)
    assert made.files == {}
    assert sentence in made.remarks[0]


def test_heat_of_any_size_becomes_16_by_16() -> None:
    fine = np.kron(np.arange(256, dtype=np.float32).reshape(16, 16), np.ones((8, 4), np.float32))
    assert np.array_equal(grid(fine), np.arange(256).reshape(16, 16))
    assert np.array_equal(grid(np.full((7, 9), 3, np.float32)), np.full((16, 16), 3))


class TestDamaged:
    """Each is a sentence."""

    def test_index(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match=r"golden\.json cannot be used \(.*greater than 0"):
            read_golden(changed(golden_bundle(tmp_path), gap=-1.0))

    def test_file_that_is_not_there(self, tmp_path: Path) -> None:
        images = [{"file": "golden/9.png", "target": "ok", "logits": [0.0], "heat": {}}]
        with pytest.raises(BundleError, match=r"names golden/9\.png, which the bundle lacks"):
            read_golden(changed(golden_bundle(tmp_path), images=images))

    def test_file_that_is_no_image(self, tmp_path: Path) -> None:
        base = golden_bundle(tmp_path)
        first = next(name for name in sorted(base.files) if name.startswith("golden/000"))
        bundle = write_bundle(tmp_path / "other", base.spec, {first: b"no image"}, base)
        with pytest.raises(BundleError, match="this golden image cannot be read"):
            open_inspector(bundle)

    def test_number_of_logits(self, tmp_path: Path) -> None:
        base = golden_bundle(tmp_path)
        images = json.loads((base.path / INDEX).read_bytes())["images"]
        images[0]["logits"] = [1.0, 2.0]
        with pytest.raises(BundleError, match="expects 2 logits, but the network gives 1"):
            open_inspector(changed(base, images=images))

    def test_byte(self, tmp_path: Path) -> None:
        bundle = golden_bundle(tmp_path)
        path = next((bundle.path / "golden").glob("*.png"))
        path.write_bytes(path.read_bytes() + b"\0")
        with pytest.raises(BundleError, match="is not what was evaluated"):
            load_bundle(bundle.path)


def changed(bundle: Bundle, **values: object) -> Bundle:
    """Another bundle, with other values in its index."""
    index = json.loads((bundle.path / INDEX).read_bytes()) | values
    return write_bundle(bundle.path.with_name("changed"), bundle.spec, {INDEX: json.dumps(index).encode()}, bundle)
