"""Whether the shown regions carry the verdict: tried with the null network, whose every block counts the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inspectd.domain import Verdict
from inspectd.model.bundle import write_bundle
from inspectd.model.null import NullInspector, write_null_bundle
from inspectd.model.pages import inspect_pages, with_support
from inspectd.model.spec import HeatScale, Preparation, Thresholds
from inspectd.model.support import erase, shown, supports

SIDE = 64


@pytest.fixture
def inspector(tmp_path: Path) -> NullInspector:
    """Rejects what is brighter than 0.1; good images are dark, and bright blocks are regions."""
    draft = write_null_bundle(tmp_path / "draft", thresholds=Thresholds(-4.0), preparation=Preparation(SIDE, SIDE))
    scale = {method: dict.fromkeys(scales, HeatScale(0.2, 0.6)) for method, scales in draft.spec.heat_scale.items()}
    spec = replace(draft.spec, heat_scale=scale, good_margin=-5.0)
    return NullInspector(write_bundle(tmp_path / "bundle", spec, {}))


def spotted(*spots: tuple[int, int]) -> np.ndarray:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    for row, column in spots:
        pixels[row : row + 16, column : column + 16] = 255
    return pixels


def test_a_verdict_that_rests_on_its_regions_falls_with_them(inspector: NullInspector) -> None:
    images = [inspector.prepare(spotted((16, 24), (40, 8)))]
    [found] = inspector.inspect(images)
    assert found.verdict == Verdict.DEFECT
    [support], [control] = supports(inspector, images, [found]), supports(inspector, images, [found], elsewhere=True)
    assert support is not None
    assert control is not None
    assert support.falls
    assert support.share > 0.8
    assert 0.1 < support.area < 0.35  # two spots of 16×16 take 0.125
    assert not control.falls
    assert control.share < 0.5


def test_a_reject_shows_its_hottest_part_though_its_heat_is_below_the_scale(inspector: NullInspector) -> None:
    pixels = np.full((SIDE, SIDE, 3), 40, np.uint8)
    pixels[24:40, 24:40] = 80
    [found] = inspector.inspect([inspector.prepare(pixels)])
    assert found.verdict == Verdict.DEFECT
    middle = (found.scale.low + found.scale.high) / 2
    assert middle == pytest.approx(0.8 * found.heat.max())
    assert found.scale.low / found.scale.high == pytest.approx(0.2 / 0.6)
    assert (found.heat > middle).sum() == 4


def test_a_verdict_without_heat_has_no_support(inspector: NullInspector) -> None:
    images = [inspector.prepare(np.full((SIDE, SIDE, 3), 60, np.uint8))]
    cold = [replace(found, heat=np.zeros((8, 8), np.float32)) for found in inspector.inspect(images)]
    [support] = supports(inspector, images, cold)
    assert support is not None
    assert (support.share, support.falls, support.area) == (0.0, False, 0.0)


def test_only_rejects_of_a_bundle_that_knows_good_margins_are_tested(inspector: NullInspector, tmp_path: Path) -> None:
    images = [inspector.prepare(spotted()), inspector.prepare(spotted((8, 8), (40, 40)))]
    good, support = supports(inspector, images, inspector.inspect(images))
    assert good is None
    assert support is not None
    before = NullInspector(write_bundle(tmp_path / "old", replace(inspector.bundle.spec, good_margin=None), {}))
    assert supports(before, images, before.inspect(images)) == [None, None]


def test_what_is_erased_takes_the_colours_around_it() -> None:
    rng = np.random.default_rng(1)
    ramp = np.linspace(40, 200, 96)[None, :, None] + np.zeros((80, 96, 3))
    pixels = ramp.astype(np.uint8)
    pixels[30:50, 40:60] = rng.integers(0, 256, (20, 20, 3))
    mask = np.zeros((80, 96), bool)
    mask[28:52, 38:62] = True
    erased = erase(pixels, mask)
    assert (erased[~mask] == pixels[~mask]).all()
    assert np.abs(erased[mask].astype(int) - ramp[mask]).max() < 25
    assert erased.dtype == np.uint8


def test_an_image_that_is_erased_wholly_is_still_an_image() -> None:
    assert erase(np.full((5, 7, 1), 9, np.uint8), np.ones((5, 7), bool)).shape == (5, 7, 1)


def test_the_shown_pixels_cover_the_regions(inspector: NullInspector) -> None:
    image = inspector.prepare(spotted((16, 24)))
    [found] = inspector.inspect([image])
    assert shown(found, image)[18:30, 26:38].all()


def test_a_lack_of_memory_leaves_the_verdict_and_tests_nothing(
    inspector: NullInspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [[inspector.prepare(spotted((16, 24)))]]
    found = inspect_pages(inspector, images)

    def scarce(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(NullInspector, "inspect", scarce)
    assert with_support(inspector, images, found) == found


def test_a_region_of_a_huge_image_is_erased_in_no_time(inspector: NullInspector) -> None:
    """Growing it at full size would take minutes, and filling it in the whole image gigabytes."""
    image = np.zeros((6000, 8000, 1), np.uint8)
    image[1500:2250, 3000:4000] = 255
    found = replace(inspector.inspect([image])[0], verdict=Verdict.DEFECT)
    mask = shown(found, image)
    assert mask.shape == (6000, 8000)
    assert mask[1600:2150, 3100:3900].all()
    assert erase(image, mask)[1700:2050, 3200:3800].max() < 255
