"""The names of the backbones, and the pixel scale that each was pretrained with. Does not import TensorFlow.

Each model of `keras.applications` is a backbone, under its name in lower case; `compact` is our own.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Scale = Literal["caffe", "tf", "torch", "own"]


@dataclass(frozen=True)
class Family:
    """The properties that backbones of one family share.

    Attributes:
        scale: The scale of the pixels, by Keras's names. `caffe`: blue, green, red minus the ImageNet mean; `tf`:
            −1..1; `torch`: red, green, blue minus the ImageNet mean, divided by its deviation; `own`: 0..255, which the
            network scales itself.
        keras: The names in `keras.applications`.
    """

    scale: Scale
    keras: tuple[str, ...]


FAMILIES = (
    Family("caffe", ("VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152")),
    Family("tf", ("MobileNet", "MobileNetV2", "ResNet50V2", "ResNet101V2", "ResNet152V2", "InceptionV3")),
    Family("tf", ("InceptionResNetV2", "Xception", "NASNetMobile", "NASNetLarge")),
    Family("torch", ("DenseNet121", "DenseNet169", "DenseNet201")),
    Family("own", tuple(f"EfficientNetB{size}" for size in range(8))),
    Family("own", tuple(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L"))),
    Family("own", ("MobileNetV3Small", "MobileNetV3Large")),
    Family("own", tuple(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge"))),
)
SCALES: dict[str, Scale] = {name.lower(): family.scale for family in FAMILIES for name in family.keras}
SCALES |= {"compact": "tf"}
KERAS = {name.lower(): name for family in FAMILIES for name in family.keras}


def known_backbone(name: str) -> str:
    """Returns the name unchanged.

    Raises:
        ValueError: there is no such backbone.
    """
    if name in SCALES:
        return name
    close = get_close_matches(name.lower(), SCALES, n=1)
    hint = f"perhaps {close[0]} is meant" if close else f"known are {', '.join(sorted(SCALES))}"
    raise ValueError(f"there is no backbone {name!r}; {hint}")
