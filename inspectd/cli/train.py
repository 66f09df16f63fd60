"""`inspectd train`: a folder of images per class becomes a bundle."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from inspectd.cli.output import printable, program, say
from inspectd.model.spec import Backbone, Head, Preprocess
from inspectd.training.recipe import Recipe

DEFAULT_WEIGHTS = {"vgg16": "imagenet", "compact": "none"}
DEFAULT_RATE = {"vgg16": 1e-4, "compact": 2e-3}
SIZES = range(32, 8193)


def train(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A folder with one folder of images for each class.")],
    out: Annotated[Path, typer.Option(metavar="BUNDLE", help="The bundle to write, such as models/NAME.")],
    ok: Annotated[list[str], typer.Option(metavar="CLASS", help="A class that passes; may be given again.")] = ["ok"],  # noqa: B006
    backbone: Annotated[Backbone, typer.Option(help="The network below the head.")] = "vgg16",
    cut: Annotated[
        str | None, typer.Option(metavar="LAYER", help="Use the backbone up to this layer. Default: all of it.")
    ] = None,
    head: Annotated[Head, typer.Option(help="How the maps become a decision.")] = "max",
    size: Annotated[str, typer.Option(metavar="N|WxH", help="The network's input in pixels.")] = "512",
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="imagenet|none|FILE", help="Weights to start from. Default: imagenet for vgg16, none for compact."
        ),
    ] = None,
    preprocess: Annotated[
        Preprocess, typer.Option(help="Pixels divided by 255, or as the backbone was pretrained.")
    ] = "backbone",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 10,
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Images in a training step.")] = 8,
    rate: Annotated[
        float | None,
        typer.Option(
            min=1e-9, max=1.0, help="Learning rate at the start. Default: 0.0001 for vgg16, 0.002 for compact."
        ),
    ] = None,
    flips: Annotated[bool, typer.Option("--flips/--no-flips", help="Mirror training images at random.")] = True,
    rotations: Annotated[
        bool, typer.Option("--rotations/--no-rotations", help="Turn training images by 90° at random.")
    ] = True,
    validation: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of each class that is kept to choose epoch and threshold.")
    ] = 0.2,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="auto: bfloat16 where the device computes in it.")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the split, the order and the weights.")] = 111,
) -> None:
    """Train a network on a folder of images per class and write it as a bundle."""
    width, height = _size(size)
    recipe = Recipe(
        ok=tuple(ok),
        backbone=backbone,
        cut=cut,
        head=head,
        width=width,
        height=height,
        weights=weights or DEFAULT_WEIGHTS[backbone],
        preprocess=preprocess,
        epochs=epochs,
        batch=batch,
        rate=rate or DEFAULT_RATE[backbone],
        flips=flips,
        rotations=rotations,
        validation=validation,
        precision=precision,
        seed=seed,
    )
    _run(data, out, recipe)


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() and int(part) in SIZES for part in parts):
        raise typer.BadParameter(f"{text}: give N or WxH, each from {SIZES[0]} to {SIZES[-1]}.", param_hint="--size")
    return int(parts[0]), int(parts[-1])


class _Screen:
    """A training's witness on the terminal: sentences stay, one bar shows the stage in hand."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("")
        self._stage = ""

    def say(self, sentence: str) -> None:
        self._bar.console.print(printable(sentence), markup=False, highlight=False, soft_wrap=True)

    def progress(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._stage = stage
            self._bar.reset(self._task, description=stage, total=total)
        self._bar.update(self._task, completed=done)


def _run(data: Path, out: Path, recipe: Recipe) -> None:
    # Only here, so that `--help` and a wrong option do not wait for TensorFlow.
    from inspectd.training.train import train as train_bundle

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        bundle = train_bundle(data, out, recipe, _Screen(bar))
    metrics = bundle.spec.metrics
    say(f"Wrote {bundle.path} ({bundle.title}): validation accuracy {metrics['accuracy']}, AUC {metrics['auc']}.")
    say(f"Try it: {program()} inspect --model {shlex.quote(str(bundle.path))} FILE…")
