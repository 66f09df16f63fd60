"""How a network is trained: every choice in one place, checked before anything is read or built. No TensorFlow here.

Recipes are short YAML files. `article`, `transfer`, `fine` and `compact` lie in the package; a user's own file may name
a few keys only, the others are as in `fine`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass as checked
from pydantic_core import PydanticKnownError

from inspectd.config.document import Document
from inspectd.dataset.division import Wish
from inspectd.errors import ConfigError, DataError
from inspectd.mistakes import mistakes
from inspectd.model.backbones import SCALES
from inspectd.model.spec import Backbone, Bits, Head, Preparation, Preprocess
from inspectd.vision.depth import FULL

FOLDER = Path(__file__).parent / "recipes"
SIDE = range(32, 8193)  # pixels

Names = Annotated[
    tuple[str, ...], BeforeValidator(lambda names: (names,) if isinstance(names, str) else names), Field(min_length=1)
]
Layer = Annotated[str | None, BeforeValidator(lambda name: None if name == "all" else name)]
Depth = Annotated[Bits | None, BeforeValidator(lambda bits: None if bits == "auto" else bits)]


def _no_boolean(value: Any) -> Any:
    """Python counts with booleans: True would be 1."""
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


Whole = Annotated[int, BeforeValidator(_no_boolean)]
Real = Annotated[float, BeforeValidator(_no_boolean)]
Count = Annotated[Whole, Field(ge=0, le=10_000)]
Rate = Annotated[Real, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[Real, Field(ge=0, le=0.9, allow_inf_nan=False)]
Side = Annotated[Whole, Field(ge=SIDE[0], le=SIDE[-1])]


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Recipe:
    """The choices of a training. All of them end up in the bundle.

    Attributes:
        name: Of the recipe, as the bundle keeps it.
        ok: Names of the classes that pass.
        cut: The backbone's last layer that is used; None (`all` in a file) for all of it.
        width, height: The network's input in pixels; a recipe file gives both as `size`.
        tiles: Pixels that tiles of large images share, which are cut at their own resolution; None: each image is
            resized as a whole.
        weights: `imagenet`, `none`, or a file.
        bits: Of the values in 16-bit files; None (`auto` in a file): as many as the largest value in all images takes.
        head_epochs: Passes over what the backbone, held still, makes of the training images; the head alone learns.
        head_rate: The learning rate meanwhile; it stays.
        train_from: The first layer that learns in the epochs that follow; None (`all` in a file) for all of them.
        epochs: Passes over the training images.
        batch: Images in a step.
        rate: The learning rate at the start.
        schedule: Whether the rate stays, or falls to zero along a cosine.
        momentum: Of `sgd`.
        patience: Epochs without a better one after which head or network have learned enough; 0: all are gone through.
        class_weights: `balanced`: every class counts the same, however few images it has.
        flips, rotations: Whether to mirror images at random, and to turn them by 90° where direction means nothing.
        test: Share of each class that nothing is chosen by: it is only measured.
        validation: Share of each class that is kept from learning, to choose epoch and threshold. 0: nothing is chosen,
            the last epoch is kept, and the test images are watched during training as the article does.
        group: A regular expression with a group, searched in each image's path; images for which it finds the same show
            one part and stay in one split.
        system_files: Whether what a NAS or an operating system keeps for itself among the images is learned too.
        precision: `auto` is bfloat16 where the device computes in it, else float32.
        seed: Of the split, the order and the weights.
    """

    name: str = "fine"
    ok: Names = ("ok",)
    backbone: Backbone = "vgg16"
    cut: Layer = "block3_conv3"
    head: Head = "max"
    width: Side = 512
    height: Side = 512
    tiles: Annotated[Whole, Field(ge=0)] | None = None
    weights: str = "imagenet"
    preprocess: Preprocess = "backbone"
    bits: Depth = None
    head_epochs: Count = 0
    head_rate: Rate = 1e-3
    train_from: Layer = None
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: Annotated[Real, Field(ge=0, lt=1)] = 0.0
    schedule: Literal["cosine", "constant"] = "cosine"
    rate: Rate = 1e-4
    epochs: Count = 10
    batch: Annotated[Whole, Field(ge=1, le=1024)] = 8
    patience: Count = 0
    class_weights: Literal["none", "balanced"] = "none"
    flips: bool = True
    rotations: bool = True
    test: Share = 0.2
    validation: Share = 0.2
    group: str | None = None
    system_files: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 111

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.optimizer == "adam" and self.momentum:
            raise ValueError("momentum: adam has none of its own to set; use optimizer: sgd, or momentum: 0")
        if self.epochs == self.head_epochs == 0:
            raise ValueError("epochs: one of epochs and head_epochs must be above 0, or nothing is learned")
        if self.patience and not self.validation:
            raise ValueError("patience: without validation images nobody sees which epoch is better; use patience: 0")
        if self.preprocess == "scale" and SCALES[self.backbone] == "own":
            raise ValueError(f"preprocess: scale is not for {self.backbone}, which scales pixels itself; use backbone")
        if self.tiles is not None and 2 * self.tiles > min(self.width, self.height):
            raise ValueError("tiles: they may share half of the network's input at most, which `size` gives")
        if self.validation == self.test == 0:
            raise ValueError("validation: one of validation and test must be above 0, or nothing is measured")
        if self.validation + self.test > 0.9:
            raise ValueError("validation: with test it leaves less than a tenth of the images to learn from")
        return self

    @property
    def preparation(self) -> Preparation:
        """How images are brought to the network, in training as in inspection; 16 bits until they are decided."""
        return Preparation(self.width, self.height, 3, self.preprocess, self.backbone, self.bits or FULL)

    @property
    def wish(self) -> Wish:
        """How the images are split."""
        return Wish(self.validation, self.test, self.seed, self.group)


_RECIPE = TypeAdapter(Recipe)


def shipped() -> list[str]:
    """The names of the recipes in the package."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def read_recipe(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe of the package by its name, or the user's own file, with some of its keys changed.

    A layer's name belongs to its backbone: where `changes` name another backbone and no `cut`, the whole is used.

    Args:
        changes: Values by key, as in a file; `size` (`512` or `640x480`) stands for `width` and `height`, and is not
            given beside them.

    Raises:
        DataError: there is no such recipe; or a line for each mistake: which key, what is wrong, what is allowed.
    """
    path = FOLDER / f"{name}.yaml" if name in shipped() else Path(name)
    if not path.is_file():
        raise DataError(f"--recipe {name}: there is no such recipe or file. There are {', '.join(shipped())}.")
    written, changed = _sides(_read(path)), _sides(changes or {})
    if changed.get("backbone", written.get("backbone")) != written.get("backbone"):
        changed = {"cut": None} | changed
    values = {"name": path.stem} | written | changed
    try:
        return _RECIPE.validate_python(values)
    except ValidationError as error:
        raise DataError("\n".join(mistakes(error, [*Recipe.__dataclass_fields__, "size"], name))) from None


def read_size(text: str) -> tuple[int, int]:
    """Width and height from `N` or `WxH`.

    Raises:
        DataError: they are none, or out of range.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() and int(part) in SIDE for part in parts):
        raise DataError(f"size: {text!r}: give N or WxH, each from {SIDE[0]} to {SIDE[-1]}.")
    return int(parts[0]), int(parts[-1])


def _sides(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with `size` taken apart: what is given later may change one side of it."""
    others = {key: value for key, value in values.items() if key != "size"}
    if "size" not in values:
        return others
    if twice := {"width", "height"} & others.keys():
        raise DataError(f"size: it gives {sorted(twice)[0]} as well. Give size, or width and height.")
    width, height = read_size(str(values["size"]))
    return {**others, "width": width, "height": height}


def _read(path: Path) -> dict[str, Any]:
    try:
        document = Document.read(path)
    except ConfigError as error:
        raise DataError(str(error)) from None
    if not isinstance(document.data, dict):
        raise DataError(f"{path}: a recipe holds keys and values, such as `epochs: 20`.")
    if document.duplicates:
        raise DataError("\n".join(f"{document.at(line)}: {what}." for line, what in document.duplicates))
    return {str(key): value for key, value in document.data.items()}
