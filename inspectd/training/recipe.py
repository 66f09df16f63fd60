"""Recipes: all choices of a training, checked before anything is read or built. Does not import TensorFlow.

Recipes are short YAML files. The package has `article`, `transfer`, `fine` and `compact`; a user's own file may set
only some keys, the others are as in `fine`.
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
    """Refuses booleans, which Python counts as 0 and 1."""
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
    """The choices of a training. The bundle records all of them.

    Attributes:
        name: The recipe's name, recorded in the bundle.
        ok: The names of the OK classes.
        cut: The backbone's last layer that is used; None (`all` in a file) for all of it.
        width, height: The network's input in pixels; a recipe file gives both as `size`.
        tiles: The overlap in pixels of tiles, into which large images are cut at their own resolution; None: each
            image is resized as a whole.
        weights: `imagenet`, `none`, or a file.
        bits: The bits of the values in 16-bit files; None (`auto` in a file): those of the largest value in all images.
        head_epochs: Epochs in which only the head is trained, on the features of the frozen backbone.
        head_rate: The constant learning rate of these epochs.
        train_from: The first layer that is trained in the later epochs; None (`all` in a file) for all layers.
        epochs: Epochs over the training images.
        batch: Images per step.
        rate: The learning rate at the start.
        schedule: Whether the rate is constant, or falls to zero along a cosine.
        momentum: The momentum of `sgd`.
        patience: The number of epochs without improvement that ends a stage; 0: all epochs run.
        class_weights: `balanced`: every class has the same weight, even with few images.
        flips, rotations: Whether to mirror images at random, and to turn them by multiples of 90° (if direction has no
            meaning).
        test: The share of each class that is only measured.
        validation: The share of each class that chooses epoch and threshold. 0: nothing is chosen, the last epoch is
            kept, and training reports the test images' figures, as the article does.
        group: A regular expression with a group, searched in each image's path; images with the same match show one
            part and stay in one split.
        system_files: Whether reserved files of a NAS or an operating system count as images too.
        precision: `auto` is bfloat16 if the device computes in it, otherwise float32.
        seed: The seed of the split, the order and the weights.
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
            raise ValueError("momentum: adam has no such setting; use optimizer: sgd, or momentum: 0")
        if self.epochs == self.head_epochs == 0:
            raise ValueError("epochs: one of epochs and head_epochs must be above 0, or nothing is trained")
        if self.patience and not self.validation:
            raise ValueError("patience: without validation images no epoch can be called better; use patience: 0")
        if self.preprocess == "scale" and SCALES[self.backbone] == "own":
            raise ValueError(
                f"preprocess: scale does not fit {self.backbone}, which scales pixels itself; use backbone"
            )
        if self.tiles is not None and 2 * self.tiles > min(self.width, self.height):
            raise ValueError("tiles: the overlap may be at most half of the network's input, which `size` gives")
        if self.validation == self.test == 0:
            raise ValueError("validation: one of validation and test must be above 0, or nothing is measured")
        if self.validation + self.test > 0.9:
            raise ValueError("validation: validation and test leave less than a tenth of the images for training")
        return self

    @property
    def preparation(self) -> Preparation:
        """The preparation of images, in training as in inspection; 16 bits until they are decided."""
        return Preparation(self.width, self.height, 3, self.preprocess, self.backbone, self.bits or FULL)

    @property
    def wish(self) -> Wish:
        """The division of the images."""
        return Wish(self.validation, self.test, self.seed, self.group)


_RECIPE = TypeAdapter(Recipe)


def shipped() -> list[str]:
    """The names of the recipes in the package."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def read_recipe(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Loads a recipe of the package by its name, or the user's own file, and changes some keys.

    A layer's name belongs to its backbone: if `changes` name another backbone and no `cut`, the whole backbone is used.

    Args:
        changes: Values by key, as in a file; `size` (`512` or `640x480`) replaces `width` and `height`.

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
        DataError: the text is something else, or out of range.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() and int(part) in SIDE for part in parts):
        raise DataError(f"size: {text!r}: give N or WxH, each from {SIDE[0]} to {SIDE[-1]}.")
    return int(parts[0]), int(parts[-1])


def _sides(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces `size` by width and height, so that a later change may set one of them."""
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
