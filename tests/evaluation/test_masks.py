"""Masks by name: found, refused or passed over with a sentence, and never guessed."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from inspectd.dataset.folder import FoundFile
from inspectd.errors import DataError
from inspectd.evaluation.masks import MaskError, Masks, find_masks, read_mask
from inspectd.model.spec import ImageClass

CLASSES = (ImageClass("ok", True), ImageClass("crack", False), ImageClass("dent", False))


def write(path: Path, picture: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((4, 6), 255, np.uint8) if picture is None else picture
    path.write_bytes(cv2.imencode(path.suffix.lower(), pixels)[1].tobytes())


class TestFinding:
    def test_by_class_and_stem_or_by_stem_alone(self, tmp_path: Path) -> None:
        for name in ("crack/a.png", "b.png", "dent/deep/c.png"):
            write(tmp_path / name)
        images = [FoundFile("crack/a.jpg", 1), FoundFile("crack/deep/b.bmp", 1), FoundFile("dent/deep/c.png", 2)]
        found = find_masks(tmp_path, tmp_path.parent, images, CLASSES)
        assert found.files == {
            "crack/a.jpg": "crack/a.png",
            "crack/deep/b.bmp": "b.png",
            "dent/deep/c.png": "dent/deep/c.png",
        }
        assert not found.remarks

    @pytest.mark.parametrize(
        "mask",
        [
            *(
                "crack/7_mask.png",
                "7_label.PNG",
                "crack/Label/7_label.PNG",
                "ground_truth/crack/7_mask.png",
                "7_GT.bmp",
            ),
            *("crack/deep/7.PNG", "7.gif", "7-mask.tif", "Masks/7.webp", "crack/7.pgm"),
        ],
    )
    def test_by_every_name_of_a_mask_in_any_format(self, mask: str, tmp_path: Path) -> None:
        (tmp_path / mask).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6), 255, np.uint8)).save(tmp_path / mask)
        found = find_masks(tmp_path, tmp_path.parent, [FoundFile("crack/deep/7.jpg", 1)], CLASSES)
        assert (found.files, found.remarks) == ({"crack/deep/7.jpg": mask}, ())
        assert read_mask(found, "crack/deep/7.jpg", (6, 4)) is not None

    def test_among_the_images_themselves(self, tmp_path: Path) -> None:
        """With the data as the folder of masks, no image is its own mask, and a photograph is none beside one."""
        for name in ("crack/a.png", "crack/a_GT.png", "crack/b.jpg", "crack/b.png", "ok/c.png", "ok/c_GT.png"):
            write(tmp_path / name)
        images = [FoundFile("crack/a.png", 1), FoundFile("crack/b.jpg", 1), FoundFile("ok/c.png", 0)]
        wanted = {"crack/a.png": "crack/a_GT.png", "crack/b.jpg": "crack/b.png"}
        for root in (tmp_path, tmp_path / "elsewhere"):
            found = find_masks(tmp_path, root, images, CLASSES)
            assert (found.files, found.remarks) == (wanted, ())

    def test_a_mask_without_its_image_is_said(self, tmp_path: Path) -> None:
        for name in ("a.png", "x.png", "good.png"):
            write(tmp_path / name)
        found = find_masks(
            tmp_path, tmp_path.parent, [FoundFile("crack/a.png", 1), FoundFile("ok/good.png", 0)], CLASSES
        )
        assert found.files == {"crack/a.png": "a.png"}, "a good image has no defect to mark"
        assert found.remarks == ("1 of 3 masks has no image: x.png.",)

    def test_one_mask_for_two_defects_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "a.png")
        with pytest.raises(DataError, match=r"could be the mask of crack/a\.png and dent/a\.png\. Put the masks"):
            find_masks(tmp_path, tmp_path.parent, [FoundFile("crack/a.png", 1), FoundFile("dent/a.png", 2)], CLASSES)

    def test_masks_of_other_images_are_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "other.png")
        with pytest.raises(DataError, match=r"None of the 1 masks .* is named as a defect, such as a\.png"):
            find_masks(tmp_path, tmp_path.parent, [FoundFile("crack/a.png", 1)], CLASSES)
        with pytest.raises(DataError, match="is not a folder"):
            find_masks(tmp_path / "nowhere", tmp_path, [], CLASSES)


class TestReading:
    def read(self, folder: Path, size: tuple[int, int]) -> np.ndarray | None:
        return read_mask(Masks(folder, {"crack/a.png": "a.png"}), "crack/a.png", size)

    def test_every_pixel_that_is_not_zero_marks(self, tmp_path: Path) -> None:
        wanted = np.zeros((4, 6), np.bool_)
        wanted[1, 2] = wanted[3, 0] = True
        for picture in (
            wanted.astype(np.uint8),  # 1 of 255
            wanted.astype(np.uint16),  # 1 of 65,535
            np.dstack([np.zeros((4, 6)), np.zeros((4, 6)), wanted, np.full((4, 6), 255)]).astype(np.uint8),  # opaque
        ):
            write(tmp_path / "a.png", picture)
            assert np.array_equal(self.read(tmp_path, (6, 4)), wanted)

    def test_a_thin_mark_survives_shrinking(self, tmp_path: Path) -> None:
        line = np.zeros((400, 600), np.uint8)
        line[:, 301] = 255
        write(tmp_path / "a.png", line)
        found = self.read(tmp_path, (60, 40))
        assert found is not None
        assert found.shape == (40, 60)
        assert found.all(axis=0).tolist() == [column == 30 for column in range(60)]

    def test_an_image_without_a_mask_has_none(self, tmp_path: Path) -> None:
        assert read_mask(Masks(tmp_path, {}), "crack/a.png", (6, 4)) is None

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (None, "The mask a.png cannot be read"),
            (b"", "The mask a.png is not a complete picture"),
            (np.zeros((4, 6), np.uint8), r"The mask a.png marks nothing\."),
            (np.ones((6, 4), np.uint8), "The mask a.png has 4×6 pixels, but its image 6×4"),
        ],
    )
    def test_what_cannot_be_used_is_said(
        self, content: bytes | np.ndarray | None, sentence: str, tmp_path: Path
    ) -> None:
        if isinstance(content, bytes):
            (tmp_path / "a.png").write_bytes(content)
        elif content is not None:
            write(tmp_path / "a.png", content)
        with pytest.raises(MaskError, match=sentence):
            self.read(tmp_path, (6, 4))
