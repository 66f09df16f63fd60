"""The content of `bundle.yaml`: the meaning of a network's outputs and how it is used, as frozen, checked dataclasses.

Contradictory values raise a ValueError (pydantic's) that names the field.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as checked

from inspectd.domain import DEFAULT_METHOD, Method, Precision
from inspectd.model.backbones import SCALES, known_backbone
from inspectd.vision.depth import FULL, LEAST

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Backbone = Annotated[str, AfterValidator(known_backbone)]
Head = Literal["flatten", "avg", "max", "evidence"]
Preprocess = Literal["scale", "backbone", "none"]
Bits = Annotated[int, Field(ge=LEAST, le=FULL)]
SHOWN = 0.8  # of an image's greatest heat: where the midpoint of a lowered scale lies
MOST_AUC_LOST = 0.001  # `auto` takes int8 only if it loses less
_RULES = ConfigDict(extra="forbid")


@checked(frozen=True, config=_RULES)
class ImageClass:
    """One class of the network. `ok` classes pass; all others are defects (NG)."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    ok: bool


@checked(frozen=True, config=_RULES)
class Preparation:
    """How an image becomes the network's input: resized to `width` × `height`, grey or RGB, then scaled.

    `preprocess: scale` divides by 255; `backbone` scales as in the pretraining; `none` leaves 0..255, for a network
    that scales pixels itself.

    `bits` is the number of bits of the values in 16-bit files that do not state it: a 12-bit camera may store 0..4095.
    Files of 8 bits are not affected.
    """

    width: Annotated[int, Field(ge=8, le=8192)]
    height: Annotated[int, Field(ge=8, le=8192)]
    channels: Literal[1, 3] = 3
    preprocess: Preprocess = "scale"
    backbone: Backbone | None = None
    bits: Bits = FULL

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.preprocess == "backbone" and self.backbone is None:
            raise ValueError("`preprocess: backbone` needs `backbone` to say which")
        if self.preprocess == "scale" and self.backbone and SCALES[self.backbone] == "own":
            raise ValueError(f"`preprocess: scale` does not fit {self.backbone}, which scales pixels itself")
        if self.preprocess == "backbone" and self.channels == 1 and SCALES[str(self.backbone)] in ("caffe", "torch"):
            raise ValueError(f"`preprocess: backbone` of {self.backbone} is for RGB and needs `channels: 3`")
        return self


@checked(frozen=True, config=_RULES)
class Tiles:
    """Large images are cut, not resized: into tiles of the network's input size that share `overlap` pixels.

    A defect no larger than the overlap lies entirely in one tile.
    """

    overlap: Annotated[int, Field(ge=0)]


@checked(frozen=True, config=_RULES)
class Thresholds:
    """The margin (a logit, see `verdict.margin`) from which an image is a defect; between `review` and it a person
    decides.
    """

    defect: Finite
    review: Finite | None = None

    @model_validator(mode="after")
    def _review_lies_below(self) -> Self:
        if self.review is not None and self.review >= self.defect:
            raise ValueError("`review` must lie below `defect`")
        return self

    def as_dict(self) -> dict[str, float]:
        """JSON for the ledger; it holds `review` only if that is set."""
        return {"defect": self.defect} | ({} if self.review is None else {"review": self.review})


@checked(frozen=True, config=_RULES)
class Calibration:
    """Margin to probability of a defect: sigmoid((margin − offset) / temperature)."""

    offset: Finite = 0.0
    temperature: Positive = 1.0


@checked(frozen=True, config=_RULES)
class HeatScale:
    """The fixed colour scale: heat below `low` is invisible, from `high` on it has full colour (units of the heat)."""

    low: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    high: Positive

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise ValueError("`low` must lie below `high`")
        return self

    def lowered(self, top: float) -> "HeatScale":
        """The scale for a rejected image whose heat reaches only `top`, in proportion, so that its hottest part shows.

        A scale whose midpoint `top` clearly exceeds stays; so does any scale if `top` is not above 0.
        """
        factor = SHOWN * top / ((self.low + self.high) / 2)
        if not 0 < factor < 1:
            return self
        return HeatScale(self.low * factor, self.high * factor)


@checked(frozen=True, config=_RULES)
class Quantised:
    """The comparison of the int8 network with float32 on images that were not used in training.

    Attributes:
        calibrated_with: The number of training images that gave the ranges.
        images: The number of compared images: those that chose the threshold.
        verdicts_changed: The number of compared images with another verdict.
        farthest: The largest difference of a logit.
    """

    calibrated_with: Annotated[int, Field(ge=1)]
    images: Annotated[int, Field(ge=1)]
    auc_float32: Finite
    auc: Finite
    verdicts_changed: Annotated[int, Field(ge=0)]
    farthest: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @property
    def ranks_as_well(self) -> bool:
        """Whether its AUC is at most 0.001 below that of float32."""
        return self.auc_float32 - self.auc <= MOST_AUC_LOST


@checked(frozen=True, config=_RULES)
class Spec:
    """All of `bundle.yaml`: what the network's outputs mean and how the bundle is used.

    Attributes:
        classes: The classes in the order of the network's outputs. A single sigmoid unit stands for the defect of two
            classes.
        activation: The network's last activation. Decisions use the logits before it.
        layer: The layer whose activations the heat weighs; None for the null network.
        explain: The class whose logit the heat explains: the strongest `defect` class or the `predicted` class.
        tiles: How images are cut at their own resolution; None if the whole image is resized to the network's input.
        heat_scale: Colour scales by method, then by class name, for every class that can be explained. Grad-CAM is
            always present; another method needs scales of its own, because the heats differ in size.
        evaluated_in: The precision in which thresholds, scale and metrics were measured.
        int8: The measured quality of the int8 part; None if there is none.
        good_margin: The median margin of the good validation images, from which `support` counts; None if unmeasured.
        metrics: Figures measured on validation images.
        training: Everything that went into the training.
    """

    name: Annotated[str, Field(min_length=1, max_length=128)]
    classes: tuple[ImageClass, ...]
    activation: Literal["softmax", "sigmoid"]
    preparation: Preparation
    thresholds: Thresholds
    heat_scale: dict[Method, dict[str, HeatScale]]
    version: Annotated[int, Field(ge=1)] = 1
    network: Literal["keras", "null"] = "keras"
    layer: str | None = None
    explain: Literal["defect", "predicted"] = "defect"
    tiles: Tiles | None = None
    calibration: Calibration = Field(default_factory=Calibration)
    evaluated_in: Precision = "float32"
    int8: Quantised | None = None
    good_margin: Finite | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [each.name for each in self.classes]
        if len(set(names)) != len(names):
            raise ValueError("`classes` names a class twice")
        if all(each.ok for each in self.classes) or not any(each.ok for each in self.classes):
            raise ValueError("`classes` needs at least one class with `ok: true` and one with `ok: false`")
        if self.network == "keras" and self.layer is None:
            raise ValueError("`layer` must name the layer whose activations explain a verdict")
        if self.tiles and self.explain != "defect":
            raise ValueError(
                "`tiles` needs `explain: defect`, because tiles of one image would explain different things"
            )
        if self.tiles and 2 * self.tiles.overlap > min(self.preparation.width, self.preparation.height):
            raise ValueError("`tiles.overlap` may be half of the network's input at most")
        explained = [each.name for each in self.classes if self.explain == "predicted" or not each.ok]
        for method in (DEFAULT_METHOD, *self.heat_scale):
            if missing := [name for name in explained if name not in self.heat_scale.get(method, {})]:
                raise ValueError(f"`heat_scale.{method}` has no numbers for {', '.join(missing)}")
        return self

    def scale_of(self, method: Method, explained: str) -> HeatScale:
        """The colour scale for heat of `method`, one of `heat_scale`, that explains the class `explained`."""
        return self.heat_scale[method][explained]
