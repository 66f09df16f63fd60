"""The synthetic camera's pictures: repeatable, honest about where the defect is, hard for anything but a network."""

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from inspectd.rehearsal.textures import DEFECTS, SIZE, Texture, texture

PICTURES = 400  # of each of two cameras, every second one with a defect


@pytest.fixture(scope="module")
def cameras() -> list[list[Texture]]:
    return [[texture(seed, index, index % 2 == 1) for index in range(PICTURES)] for seed in (1001, 1002)]


def test_a_picture_is_a_function_of_seed_and_index() -> None:
    assert np.array_equal(texture(5, 7, True).pixels, texture(5, 7, True).pixels)
    assert not np.array_equal(texture(5, 7, False).pixels, texture(5, 8, False).pixels)
    assert not np.array_equal(texture(5, 7, False).pixels, texture(6, 7, False).pixels)


def test_pictures_are_grey_and_use_the_grey_scale_without_clipping_it(cameras: list[list[Texture]]) -> None:
    for sample in cameras[0]:
        assert sample.pixels.shape == sample.mask.shape == (SIZE, SIZE)
        assert sample.pixels.dtype == sample.mask.dtype == np.uint8
        assert np.isin(sample.pixels, (0, 255)).mean() < 0.01


def test_good_and_defective_differ_at_the_mask_and_nowhere_else() -> None:
    for index in range(40):
        good, bad = texture(9, index, False), texture(9, index, True)
        assert good.kind is None
        assert not good.mask.any()
        assert bad.kind in DEFECTS
        change = np.abs(bad.pixels.astype(int) - good.pixels)
        near = cv2.dilate(bad.mask, np.ones((25, 25), np.uint8)) > 0
        assert change[bad.mask > 0].mean() > 8
        assert change[~near].max() == 0


def test_every_kind_of_defect_appears_and_all_are_small(cameras: list[list[Texture]]) -> None:
    bad = [sample for sample in cameras[0] if sample.kind]
    assert {sample.kind for sample in bad} == set(DEFECTS)
    assert max((sample.mask > 0).mean() for sample in bad) < 0.03


def thumbnail(sample: Texture) -> np.ndarray:
    return cv2.resize(sample.pixels, (32, 32), interpolation=cv2.INTER_AREA).ravel()


def mean_and_variance(sample: Texture) -> np.ndarray:
    return np.array([sample.pixels.mean(), sample.pixels.var()])


@pytest.mark.parametrize("see", [thumbnail, mean_and_variance])
def test_no_simple_classifier_finds_the_defects(see: object, cameras: list[list[Texture]]) -> None:
    assert callable(see)
    learn, test = (np.array([see(sample) for sample in camera], float) for camera in cameras)
    truth = np.arange(PICTURES) % 2
    model = make_pipeline(StandardScaler(), LogisticRegression(solver="liblinear")).fit(learn, truth)
    assert model.score(test, truth) < 0.75
