"""Images of a manifest, as a network takes them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inspectd.dataset.division import Wish
from inspectd.dataset.pixels import load_dataset
from inspectd.dataset.survey import survey
from inspectd.errors import DataError
from inspectd.model.preparation import prepare
from inspectd.model.spec import Preparation
from inspectd.vision.decode import decode

SMALL = Preparation(24, 12)

Make = Callable[..., Path]


def ignore(_done: int, _total: int) -> None:
    pass


def test_are_prepared_and_labelled_and_known_by_split(make: Make) -> None:
    root = make(ok=10, bar=5)
    manifest = survey(root, ["ok"], Wish(), ignore)
    told: list[tuple[int, int]] = []
    found = load_dataset(root, manifest, ("train", "validation"), SMALL, lambda *done: told.append(done))
    assert (found.pixels.shape, found.pixels.dtype) == ((12, 12, 24, 3), np.uint8)
    assert found.targets.tolist() == [0] * 8 + [1] * 4
    assert [sample.split for sample in found.samples] == [
        sample.split for sample in manifest.samples if sample.split != "test"
    ]
    for sample, pixels in zip(found.samples, found.pixels, strict=True):
        assert np.array_equal(pixels, prepare(decode((root / sample.path).read_bytes(), 10**6).pixels, SMALL))
    assert tuple(found.samples[index] for index in found.of("validation")) == manifest.of("validation")
    assert sorted([*found.of("train"), *found.of("validation")]) == list(range(12))
    assert told[-1] == (12, 12)


def test_a_file_that_changed_meanwhile_is_said(make: Make) -> None:
    root = make(ok=4, bar=4)
    manifest = survey(root, ["ok"], Wish(), ignore)
    (root / "ok" / "002.png").write_bytes((root / "ok" / "001.png").read_bytes())
    with pytest.raises(DataError, match=r"ok/002\.png changed since it was listed"):
        load_dataset(root, manifest, ("train", "validation", "test"), SMALL, ignore)
