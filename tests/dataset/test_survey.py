"""A folder per class becomes a manifest that learns from no contradiction and tests on nothing that was learned."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspectd.dataset.division import Wish
from inspectd.dataset.manifest import Manifest
from inspectd.dataset.survey import survey
from inspectd.errors import DataError

Make = Callable[..., Path]


def look(root: Path, wish: Wish = Wish()) -> Manifest:  # noqa: B008 - frozen
    return survey(root, ["ok"], wish, lambda _done, _total: None)


def test_lists_and_splits_every_image(make: Make) -> None:
    root = make(ok=20, bar=10)
    told: list[tuple[int, int]] = []
    found = survey(root, ["ok"], Wish(), lambda *done: told.append(done))
    assert [each.name for each in found.classes] == ["ok", "bar"]
    assert [found.counts(split) for split in ("train", "validation", "test")] == [
        {"ok": 12, "bar": 6},
        {"ok": 4, "bar": 2},
        {"ok": 4, "bar": 2},
    ]
    first = found.samples[0]
    assert (first.path, first.target) == ("ok/000.png", 0)
    assert first.sha256 == hashlib.sha256((root / "ok" / "000.png").read_bytes()).hexdigest()
    assert (found.skipped, found.remarks) == ((), ())
    assert told[-1] == (30, 30)


def test_what_is_not_looked_at_is_said(make: Make) -> None:
    root = make(ok=5, bar=5)
    (root / "bar" / "moving.gif").write_bytes(b"GIF89a")
    (root / "ok" / "loop").symlink_to("..")
    (root / "ok" / ".hidden").touch()
    found = look(root)
    assert found.remarks == (
        "Not looked at: 2 in the classes' folders, such as ok/loop. Images are files that end in .png, .jpg, .jpeg, "
        ".jpe, .jfif, .bmp, .tif, .tiff, .webp; links to folders are not followed.",
    )


def test_a_link_that_leads_to_nothing_is_an_image_that_cannot_be_read(make: Make) -> None:
    root = make(ok=5, bar=5)
    (root / "bar" / "moved.png").symlink_to("/nowhere/moved.png")
    (root / "bar" / "same.png").symlink_to("same.png")
    assert [sentence.partition(" (")[0] for sentence in look(root).skipped] == [
        "bar/moved.png: cannot be read",
        "bar/same.png: cannot be read",
    ]


def test_the_seed_alone_decides_and_a_test_is_not_a_must(make: Make) -> None:
    root = make(ok=20, bar=10)
    assert look(root) == look(root)
    assert look(root) != look(root, Wish(seed=112))
    assert look(root, Wish(test=0.0)).of("test") == ()


def test_what_cannot_be_read_or_is_in_doubt_is_listed_and_left_out(make: Make) -> None:
    root = make(ok=5, bar=5)
    whole = (root / "bar" / "000.png").read_bytes()
    (root / "bar" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "ok" / "text.jpg").write_text("no image")
    jpeg = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))[1].tobytes()
    (root / "ok" / "torn.jpg").write_bytes(jpeg[: len(jpeg) // 2] + b"\xff\xd9")
    found = look(root)
    assert len(found.samples) == 10
    assert [sentence.partition(": ")[0] for sentence in found.skipped] == ["ok/text.jpg", "ok/torn.jpg", "bar/cut.png"]
    assert all(sentence.partition(": ")[2] for sentence in found.skipped)


def test_copies_stay_on_one_side_and_are_said(make: Make) -> None:
    root = make(ok=30, bar=10)
    for index in range(15):
        shutil.copy(root / "ok" / f"{index:03}.png", root / "ok" / f"copy-{index:03}.png")
    for seed in range(5):
        found = look(root, Wish(seed=seed))
        splits: dict[str, set[str]] = {}
        for sample in found.samples:
            splits.setdefault(sample.sha256, set()).add(sample.split)
        assert len(splits) == 40
        assert all(len(each) == 1 for each in splits.values())
        assert found.remarks == (
            "15 of 55 images are copies of others by content, such as ok/copy-000.png of ok/000.png. Copies stay in "
            "one split.",
        )


def test_one_content_in_two_classes_is_left_out_everywhere_and_said(make: Make) -> None:
    root = make(ok=10, bar=10)
    shutil.copy(root / "ok" / "003.png", root / "bar" / "wrong.png")
    found = look(root)
    assert len(found.samples) == 19
    reason = "two classes have the same content: ok/003.png and bar/wrong.png"
    assert found.skipped == (f"ok/003.png: {reason}", f"bar/wrong.png: {reason}")


class TestGroup:
    def test_keeps_the_images_of_a_part_in_one_split_across_classes(self, make: Make) -> None:
        root = make(ok=60, bar=30)
        for name, views in (("ok", 4), ("bar", 2)):
            for index, path in enumerate(sorted((root / name).iterdir())):
                path.rename(path.with_name(f"part{index // views:02}_view{index % views}.png"))
        (root / "ok" / "part00_view0.png").rename(root / "ok" / "nameless.png")
        found = look(root, Wish(group=r"(?P<part>part\d+)_"))
        splits: dict[str, set[str]] = {}
        for sample in found.samples:
            splits.setdefault(sample.path.split("/")[1].split("_")[0], set()).add(sample.split)
        assert all(len(each) == 1 for each in splits.values())
        for split, share in Wish().shares.items():
            counts = found.counts(split)
            assert counts["ok"] == pytest.approx(60 * share, abs=4)
            assert counts["bar"] == pytest.approx(30 * share, abs=2)
        assert found.remarks[0] == (
            "--group finds 15 parts in 89 images; each part stays in one split. 1 images, whose path it does not "
            "match, are taken for a part each."
        )

    def test_and_content_bind_together(self, make: Make) -> None:
        """A copy of one part's image under another part's name makes the two parts one."""
        root = make(ok=20, bar=6)
        shutil.copy(root / "ok" / "000.png", root / "ok" / "019b.png")
        for seed in range(10):
            found = look(root, Wish(group=r"ok/(\d+)", seed=seed))
            assert len({each.split for each in found.samples if each.path[:6] in ("ok/000", "ok/019")}) == 1

    @pytest.mark.parametrize(
        ("group", "sentence"),
        [
            ("(part", "is no regular expression: missing"),
            ("part[0-9]+", "has no parentheses around what names the part"),
            ("(part[0-9]+)", "matches no image's path, such as ok/000.png"),
            ("^(ok|bar)", "ok cannot be split: too many of its images belong together"),
        ],
    )
    def test_that_cannot_be_used_is_said(self, group: str, sentence: str, make: Make) -> None:
        with pytest.raises(DataError, match=sentence.replace("(", r"\(")):
            look(make(ok=4, bar=4), Wish(group=group))


def _spoil(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_text("no image")


def _same(*folders: Path) -> None:
    image = (folders[0] / "000.png").read_bytes()
    for folder in folders:
        for path in folder.iterdir():
            path.write_bytes(image)


@pytest.mark.parametrize(
    ("counts", "harm", "sentence"),
    [
        ({"ok": 3, "bar": 0}, lambda _: None, r"bar has no usable images\. A class needs at least two"),
        ({"ok": 1, "bar": 3}, lambda _: None, r"ok has 1 usable image\. A class needs at least two"),
        (
            {"ok": 3, "bar": 3},
            lambda root: _spoil(root / "bar"),
            "bar has no usable images. Left out: 3, .* bar/000.png: ",
        ),
        (
            {"ok": 3, "bar": 3},
            lambda root: _same(root / "ok", root / "bar"),
            "ok has no usable images. Left out: 3, the first of them ok/000.png: two classes have the same content",
        ),
        ({"ok": 3, "bar": 3}, lambda root: _same(root / "ok"), "ok has 3 images, all of one content. .* two different"),
    ],
)
def test_data_that_cannot_be_used_is_said(
    counts: dict[str, int], harm: Callable[[Path], object], sentence: str, make: Make
) -> None:
    root = make(**counts)
    harm(root)
    with pytest.raises(DataError, match=sentence):
        look(root)


def test_a_class_with_two_images_is_learned_and_validated_but_not_tested_and_said(make: Make) -> None:
    found = look(make(ok=10, bar=2))
    assert [found.counts(split)["bar"] for split in ("train", "validation", "test")] == [1, 1, 0]
    assert found.remarks == ("None of bar is left to test with: there are too few images.",)
