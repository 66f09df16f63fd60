"""Public data sets are recognised by their folders, and told how to become a folder for each class."""

from pathlib import Path

import pytest

from inspectd.dataset.layouts import layout

ROOT = Path("/data")
MVTEC = ["train/good/000.png", "test/good/000.png", "test/crack/000.png", "ground_truth/crack/000_mask.png"]


@pytest.mark.parametrize(
    ("pictures", "sentence"),
    [
        (
            MVTEC,
            "/data has its classes (crack, good) below test and train: copy the images of each class into one folder, "
            "such as train/good and test/good to DATA/good/train and DATA/good/test, and give DATA with --masks "
            "/data/ground_truth.",
        ),
        (
            [f"{product}/{path}" for product in ("bottle", "cable") for path in MVTEC],
            "/data holds 2 data sets, one of which, /data/bottle, has its classes (crack, good) below test and train: ",
        ),
        (
            ["01/train/ok/1.bmp", "01/test/ok/2.bmp", "01/test/ko/3.bmp", "01/ground_truth/ko/3.png"],
            "/data/01 has its classes (ko, ok) below test and train: ",
        ),
        (
            ["Data/Images/Normal/1.JPG", "Data/Images/Anomaly/2.JPG", "Data/Masks/Anomaly/2.png"],
            "/data has its classes (Anomaly, Normal) below Data/Images: give /data/Data/Images with --masks "
            "/data/Data/Masks.",
        ),
        (
            ["Class1/Train/1.PNG", "Class1/Train/2.PNG", "Class1/Train/Label/2_label.PNG", "Class1/Test/3.PNG"],
            "/data/Class1 holds images and their masks, such as Train/2.PNG and Train/Label/2_label.PNG, and no folder "
            "for each class: copy the images whose mask marks something to DATA/defect, all other images to DATA/ok "
            "and the masks to MASKS, and give DATA with --masks MASKS.",
        ),
        (["1.PNG", "Label/1_label.PNG"], "/data holds images and their masks, such as 1.PNG and Label/1_label.PNG, "),
        (
            ["train/1.png", "train/1_GT.png"],
            "/data holds images and their masks, such as train/1.png and train/1_GT.png",
        ),
        (["images/1.jpg", "masks/1.png"], "/data holds images and their masks, such as images/1.jpg and masks/1.png"),
        (["1.jpg", "1.png"], "/data holds images and their masks, such as 1.jpg and 1.png"),
        (
            ["train_images/1.jpg", "test_images/2.jpg"],
            "/data holds images, such as test_images/2.jpg, and no folder for each class: copy the images of each "
            "class into a folder of its own, such as DATA/ok and DATA/defect, and give DATA.",
        ),
        (["Cr_1.bmp", "Sc_1.bmp"], "/data holds images, such as Cr_1.bmp, and no folder for each class: "),
    ],
)
def test_what_is_there_and_what_to_do(pictures: list[str], sentence: str) -> None:
    said = layout(ROOT, pictures)
    assert said is not None
    assert said.startswith(sentence)
    assert said.count(". ") == 0, "one sentence"


@pytest.mark.parametrize(
    "pictures",
    [
        ["good/1.png", "crack/1.png"],
        ["good/monday/1.png", "crack/1.png", "crack/Label/1_label.png"],
        ["good/train/1.png", "good/test/2.png", "crack/train/1.png", "crack/test/2.png"],
        ["MT_Free/Imgs/1.jpg", "MT_Free/Imgs/1.png", "MT_Crack/Imgs/1.jpg", "MT_Crack/Imgs/1.png"],
        ["good/1.png", "stray.png"],
        [],
    ],
)
def test_a_folder_for_each_class_is_nothing_special(pictures: list[str]) -> None:
    assert layout(ROOT, pictures) is None
