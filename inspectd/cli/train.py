"""`inspectd train`: trains a network on one folder of images for each class, and writes a bundle."""

from pathlib import Path
from typing import Annotated, Any

import typer

from inspectd.cli.options import grouped
from inspectd.cli.output import say
from inspectd.cli.progress import screen
from inspectd.model.spec import Head, Preprocess
from inspectd.training.recipe import Recipe, read_recipe

OF_THE_RECIPE = "Of the recipe"


def _choice(*names: str, help: str, metavar: str | None = None) -> Any:
    """An option that overrides a key of the recipe."""
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=OF_THE_RECIPE)


RECIPE_OPTIONS: dict[str, Any] = {
    "ok": Annotated[
        list[str] | None, _choice(help="A class that passes; may be repeated. Default: ok.", metavar="CLASS")
    ],
    "backbone": Annotated[
        str | None, _choice(help="The network below the head: compact, or any of keras.applications.", metavar="NAME")
    ],
    "cut": Annotated[str | None, _choice(help="Use the backbone up to this layer, or all.", metavar="LAYER")],
    "head": Annotated[Head | None, _choice(help="How the head turns the feature maps into a decision.")],
    "size": Annotated[str | None, _choice(help="The network's input in pixels.", metavar="N|WxH")],
    "tiles": Annotated[
        int | None, _choice(help="Cut images into tiles of that size that overlap by N pixels.", metavar="N")
    ],
    "weights": Annotated[str | None, _choice(help="Weights to start from.", metavar="imagenet|none|FILE")],
    "preprocess": Annotated[
        Preprocess | None, _choice(help="Pixels divided by 255, as for the pretrained backbone, or unchanged.")
    ],
    "bits": Annotated[
        str | None,
        _choice(help="Bits of the values in 16-bit files. Default: auto, by the largest value.", metavar="auto|N"),
    ],
    "epochs": Annotated[int | None, _choice(help="Passes over the training images.", metavar="N")],
    "batch": Annotated[int | None, _choice(help="Images in a training step.", metavar="N")],
    "rate": Annotated[float | None, _choice(help="Learning rate at the start.", metavar="X")],
    "flips": Annotated[bool | None, _choice("--flips/--no-flips", help="Mirror training images at random.")],
    "rotations": Annotated[
        bool | None, _choice("--rotations/--no-rotations", help="Turn training images by 90° at random.")
    ],
    "test": Annotated[float | None, _choice(help="Share of each class for the final measurement.", metavar="X")],
    "validation": Annotated[
        float | None, _choice(help="Share of each class that chooses epoch and threshold.", metavar="X")
    ],
    "group": Annotated[
        str | None,
        _choice(help="Keep images of one part in one split: its groups find the part in a path.", metavar="PATTERN"),
    ],
    "precision": Annotated[
        str | None, _choice(help="auto: bfloat16 if the device computes in it.", metavar="auto|float32|bfloat16")
    ],
    "seed": Annotated[int | None, _choice(help="Seed of the split, the order and the first weights.", metavar="N")],
}


@grouped("choices", RECIPE_OPTIONS, dict)
def train(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A folder with one folder of images for each class.")],
    out: Annotated[
        Path, typer.Option(metavar="MODEL", help="The model whose next version is written, such as models/NAME.")
    ],
    recipe: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="article, compact, fine, transfer, or a YAML file.")
    ] = "fine",
    masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Masks of the defects: the heat is measured against them.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    set: Annotated[
        list[str], typer.Option(metavar="KEY=VALUE", help="Replace a key of the recipe; may be repeated.")
    ] = [],  # noqa: B006
    *,
    choices: dict[str, Any],
) -> None:
    """Train a network by a recipe, on one folder of images for each class, and write a bundle."""
    changes = dict(_pair(text) for text in set) | {key: value for key, value in choices.items() if value is not None}
    _run(data, out, read_recipe(recipe, changes), resume, masks)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text}: give KEY=VALUE, such as momentum=0.9.", param_hint="--set")
    return key.strip(), value.strip()


def _run(data: Path, out: Path, recipe: Recipe, resume: bool, masks: Path | None) -> None:
    # Only here, so that `--help` and a wrong option do not wait for TensorFlow.
    from inspectd.cli.bundle import whats_next
    from inspectd.training.course import Workplace
    from inspectd.training.train import train as train_bundle

    try:
        with screen() as shown:
            bundle = train_bundle(data, out, recipe, shown, resume, masks)
    except KeyboardInterrupt:
        if Workplace(out, recipe, resume).has_interrupted:
            say("The training up to the last whole epoch is kept: the same command with --resume goes on.")
        raise
    metrics = bundle.spec.metrics
    on = "validation" if recipe.validation else "test"
    say(f"Wrote {bundle.path} ({bundle.title}): {on} accuracy {metrics['accuracy']}, AUC {metrics['auc']}.")
    for sentence in whats_next(bundle, out):
        say(sentence)
