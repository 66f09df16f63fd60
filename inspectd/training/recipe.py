"""How a network is trained: every choice in one place, checked before anything is read or built. No TensorFlow here."""

from dataclasses import dataclass
from typing import Literal

from inspectd.model.spec import Backbone, Head, Preparation, Preprocess


@dataclass(frozen=True)
class Recipe:
    """The choices of a training. All of them end up in the bundle.

    Attributes:
        ok: Names of the classes that pass.
        cut: The backbone's last layer that is used; None for all of it.
        width, height: The network's input in pixels.
        weights: `imagenet`, `none`, or a file with weights by layer name.
        rate: Adam's learning rate at the start; it falls to zero along a cosine.
        flips, rotations: Whether to mirror images at random, and to turn them by 90° where direction means nothing.
        validation: Share of each class that is kept from learning, to choose epoch and threshold.
        precision: `auto` is bfloat16 where the device computes in it, else float32.
    """

    ok: tuple[str, ...] = ("ok",)
    backbone: Backbone = "vgg16"
    cut: str | None = None
    head: Head = "max"
    width: int = 512
    height: int = 512
    weights: str = "imagenet"
    preprocess: Preprocess = "backbone"
    epochs: int = 10
    batch: int = 8
    rate: float = 1e-4
    flips: bool = True
    rotations: bool = True
    validation: float = 0.2
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 111

    @property
    def preparation(self) -> Preparation:
        """How images are brought to the network, in training as in inspection."""
        return Preparation(self.width, self.height, 3, self.preprocess, self.backbone)
