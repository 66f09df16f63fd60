"""The frozen list of images, as it is kept in a bundle."""

import pytest

from inspectd.dataset.manifest import Manifest, Sample, read_manifest
from inspectd.errors import BundleError
from inspectd.model.spec import ImageClass

CLASSES = (ImageClass("ok", True), ImageClass("crack, long", False))
SAMPLES = (
    Sample('ok/a "b".png', "0" * 64, 0, "train"),
    Sample("ok/a, b.png", "1" * 64, 0, "test"),
    Sample("crack, long/ä\nb.png", "2" * 64, 1, "validation"),
)
MANIFEST = Manifest(CLASSES, SAMPLES)


def test_survives_its_file_whatever_the_names() -> None:
    assert read_manifest(MANIFEST.as_csv(), CLASSES) == MANIFEST
    assert MANIFEST.as_csv().decode().splitlines()[0] == "path,sha256,class,split"


def test_counts_by_split_and_class() -> None:
    assert MANIFEST.of("validation") == SAMPLES[2:]
    assert MANIFEST.counts("train") == {"ok": 1, "crack, long": 0}


@pytest.mark.parametrize(
    "harm",
    [
        (b"split", b"part"),
        (b",train", b",trial"),
        (b",ok,", b",good,"),
        (b",test", b""),
        (b"ok/a", b"\xff"),
    ],
)
def test_another_table_is_said(harm: tuple[bytes, bytes]) -> None:
    with pytest.raises(BundleError, match=r"data\.csv is damaged"):
        read_manifest(MANIFEST.as_csv().replace(*harm), CLASSES)
    with pytest.raises(BundleError, match=r"data\.csv is damaged"):
        read_manifest(b"", CLASSES)
