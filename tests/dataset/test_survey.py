"""A folder per class becomes a manifest that learns from no contradiction and tests on nothing that was learned."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

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
        "Ignored: 2 files and links in the classes' folders, such as bar/moving.gif. Images are files that end in "
        ".png, .jpg, "
        ".jpeg, .jpe, .jfif, .bmp, .tif, .tiff, .webp; links to folders are not followed.",
    )


class TestMasks:
    """As scripts carry them along: beside the images, below a folder of the class, or as a folder among the classes."""

    def test_are_left_out_wherever_they_lie_and_said_once(self, make: Make) -> None:
        root = make(ok=5, bar=5)
        marks = np.eye(16, dtype=np.uint8) * 255
        for name in ("bar/Label/000_label.PNG", "bar/001_GT.bmp", "ok/000.tif", "ground_truth/bar/002_mask.png"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(cv2.imencode(Path(name).suffix.lower(), marks)[1].tobytes())
        found = look(root)
        assert [each.name for each in found.classes] == ["ok", "bar"]
        assert len(found.samples) == 10
        assert found.remarks == (
            "Left out as masks of other pictures, by their names and their few grey levels: 4, such as bar/001_GT.bmp.",
        )

    def test_a_class_that_is_called_so_stays_and_the_doubt_is_said(self, make: Make) -> None:
        found = look(make(ok=5, labels=5))
        assert [each.name for each in found.classes] == ["ok", "labels"]
        assert len(found.samples) == 10
        [doubt] = found.remarks
        assert doubt.startswith("Used as images, although their names are those of masks or of other images: 5, such")

    def test_a_class_of_masks_alone_is_refused(self, make: Make) -> None:
        root = make(ok=5, bar=5)
        for path in (root / "bar").iterdir():
            cv2.imwrite(str(path.with_name(f"{path.stem}_gt.png")), np.eye(16, dtype=np.uint8) * 255)
            path.rename(root / "ok" / f"{path.stem}_other.png")
        for path in (root / "bar").iterdir():
            path.rename(path.with_name(path.name.replace("_gt", "_other_gt")))
        with pytest.raises(
            DataError, match=r"bar has no usable images\. Left out as masks: 5, the first of them bar/000"
        ):
            look(root)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["train/good/0.png", "test/good/0.png", "test/crack/0.png"], "has its classes .* below test and train: copy"),
        (
            ["Train/0.png", "Train/1.png", "Train/Label/1_label.png"],
            "holds images and their masks, such as Train/1.png",
        ),
        (["0.png", "0_GT.png"], "holds images and their masks, such as 0.png and 0_GT.png, and no folder for each"),
    ],
)
def test_the_root_of_a_public_data_set_is_told_how_to_lay_it_out(
    names: list[str], sentence: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        is_mask = "label" in name or "GT" in name
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 2 if is_mask else 256, (16, 16), np.uint8))
    with pytest.raises(DataError, match=sentence):
        look(tmp_path)


def test_what_a_system_keeps_for_itself_is_left_alone_unless_it_is_wanted(make: Make) -> None:
    root = make(ok=5, bar=5, **{"@eaDir": 5})
    (root / "bar" / "#recycle").mkdir()
    cv2.imwrite(str(root / "bar" / "#recycle" / "deleted.png"), np.eye(16, dtype=np.uint8))
    cv2.imwrite(str(root / "bar" / "a.sync-conflict-20260101-120000-ABCDEFG.png"), np.eye(16, dtype=np.uint8))
    found = look(root)
    assert len(found.samples) == 10
    assert found.remarks == (
        "Left out, because a NAS or an operating system reserves them: 3, such as @eaDir. `system_files: "
        "true` in the recipe includes them.",
    )
    every = survey(root, ["ok"], Wish(), lambda _done, _total: None, system_files=True)
    assert [each.name for each in every.classes] == ["ok", "@eaDir", "bar"]
    assert len(every.samples) == 17


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


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".webp"])
def test_parts_on_a_black_background_are_learned_from(make: Make, suffix: str) -> None:
    root = make(ok=5, bar=5)
    for folder in ("ok", "bar"):
        for index in range(5):
            path = root / folder / f"{index:03}.png"
            part = np.zeros((96, 128), np.uint8)
            part[20:60, 40:90] = np.random.default_rng([index, len(folder)]).integers(1, 256, (40, 50))
            kind, options = {".bmp": ("BMP", {}), ".tif": ("TIFF", {}), ".webp": ("WEBP", {"method": 0})}[suffix]
            Image.fromarray(part).convert("RGB").save(path.with_suffix(suffix), kind, **options)
            path.unlink()
    found = look(root)
    assert (len(found.samples), found.skipped) == (10, ())


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
            "--group finds 15 parts in 89 images; each part stays in one split. 1 images do not match; "
            "each counts as a part of its own."
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
            ("(part", "is not a regular expression: missing"),
            ("part[0-9]+", "has no parentheses around the name of the part"),
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
    assert found.remarks == ("None of bar is left for the test: there are too few images.",)
