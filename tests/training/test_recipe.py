"""Recipes: what the package's say, what a user's file changes, and each mistake as a sentence."""

import re
from pathlib import Path
from typing import Any

import pytest

from inspectd.errors import DataError
from inspectd.training.recipe import Recipe, read_recipe, shipped


def test_the_articles_recipe_is_the_articles() -> None:
    assert read_recipe("article") == Recipe(
        name="article",
        backbone="vgg16",
        cut=None,
        head="flatten",
        width=224,
        height=224,
        weights="imagenet",
        preprocess="scale",
        optimizer="sgd",
        momentum=0.9,
        schedule="constant",
        rate=1e-4,
        epochs=100,
        batch=48,
        flips=False,
        rotations=False,
        test=0.2,
        validation=0,
        seed=111,
    )


def test_every_shipped_recipe_is_right_and_what_one_leaves_out_is_as_in_fine() -> None:
    assert {read_recipe(name).name for name in shipped()} == {"article", "compact", "fine", "transfer"}
    assert read_recipe("fine") == Recipe()


def test_every_key_is_documented_and_no_other() -> None:
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    table = text.partition("| key | in `fine` | meaning |")[2].partition("\n\n")[0]
    documented = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    assert documented == {*Recipe.__dataclass_fields__, "size"} - {"width", "height"}


def test_a_file_of_ones_own_and_what_changes_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("ok: [good, fine]\nsize: 640x480\nepochs: 3\n")
    recipe = read_recipe(str(tmp_path / "mine.yaml"), {"epochs": "4", "rate": "1e-3", "flips": "no"})
    assert (recipe.name, recipe.ok, recipe.width, recipe.height) == ("mine", ("good", "fine"), 640, 480)
    assert (recipe.epochs, recipe.rate, recipe.flips, recipe.head) == (4, 1e-3, False, "max")


def test_width_and_height_change_the_size_of_a_recipe(tmp_path: Path) -> None:
    recipe = read_recipe("compact", {"width": "64", "height": 96})
    assert (recipe.width, recipe.height) == (64, 96)
    (tmp_path / "mine.yaml").write_text("width: 640\nheight: 480\n")
    recipe = read_recipe(str(tmp_path / "mine.yaml"), {"size": "64"})
    assert (recipe.width, recipe.height) == (64, 64)


def test_a_cut_belongs_to_its_backbone() -> None:
    assert read_recipe("fine", {"head": "avg"}).cut == "block3_conv3"
    assert read_recipe("fine", {"backbone": "compact"}).cut is None
    assert read_recipe("fine", {"backbone": "compact", "cut": "stage2_relu"}).cut == "stage2_relu"
    assert read_recipe("fine", {"cut": "all"}).cut is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epoch": 3}, "fine: epoch is not a known key; perhaps epochs is meant."),
        ({"nothing_like_it": 3}, "fine: nothing_like_it is not a known key; the known keys are name, ok, backbone, "),
        ({"flips": "maybe"}, "fine: flips is 'maybe'; it must be true or false."),
        ({"epochs": "many"}, "fine: epochs is 'many'; it must be a whole number."),
        ({"rate": 0}, "fine: rate is 0; it must be greater than 0."),
        ({"head": "min"}, "fine: head is 'min'; it must be flatten, avg, max or evidence."),
        ({"ok": []}, r"fine: ok is \[\]; it must be a list of at least one name."),
        ({"backbone": "vgg"}, "fine: there is no backbone 'vgg'; perhaps vgg19 is meant"),
        ({"backbone": "efficientnetb0", "preprocess": "scale"}, "fine: preprocess: scale does not fit efficientnetb0"),
        ({"size": "9"}, "size: '9': give N or WxH, each from 32 to 8192."),
        ({"size": "64", "width": 32}, "size: it gives width as well. Give size, or width and height."),
        ({"momentum": 0.9}, "fine: momentum: adam has no such setting"),
        ({"epochs": 0}, "fine: epochs: one of epochs and head_epochs must be above 0"),
        ({"validation": 0, "patience": 3}, "fine: patience: without validation images"),
        ({"validation": 0, "test": 0}, "fine: validation: one of validation and test must be above 0"),
        ({"validation": 0.5, "test": 0.5}, "fine: validation: validation and test leave less than a tenth"),
        ({"batch": True}, "fine: batch is True; it must be a number."),
        ({"tiles": False}, "fine: tiles is False; it must be a number."),
        (
            {"rate": True, "width": True, "test": False, "seed": True},
            "fine: width is .*\nfine: rate is .*\nfine: test is .*\nfine: seed is ",
        ),
        ({"epochs": -1, "batch": -1}, "fine: epochs is -1; .*\nfine: batch is -1; "),
    ],
)
def test_each_mistake_is_a_sentence_with_its_key(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_recipe("fine", changes)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- epochs", "a recipe holds keys and values"),
        ("", "a recipe holds keys and values"),
        ("epochs: 3\nepochs: 4\n", "line 2: epochs stands here again; it was given in line 1"),
        ("epochs: [3\n", "this is not YAML"),
    ],
)
def test_a_file_that_is_no_recipe(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(DataError, match=sentence):
        read_recipe(str(tmp_path / "mine.yaml"))


def test_a_recipe_that_is_not_there() -> None:
    with pytest.raises(DataError, match=r"--recipe nosuch: there is no such recipe or file. There are article, "):
        read_recipe("nosuch")
