"""The way from an image's pixels to a network's input, the same in training and in inspection.

`prepare` runs once per image on the processor and stays uint8; `normalise` runs inside the compiled call, on a batch.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspectd.model.backbones import SCALES
from inspectd.model.spec import Preparation

# Red, green, blue over ImageNet, in the units 0..255: as VGG16 was trained (Simonyan & Zisserman 2014), and as Keras
# has them for the networks that came by way of Torch.
_CAFFE_MEAN = np.array([123.68, 116.779, 103.939], np.float32)
_TORCH_MEAN = np.array([0.485, 0.456, 0.406], np.float32) * np.float32(255)
_TORCH_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32) * np.float32(255)


def prepare(pixels: NDArray[np.uint8], to: Preparation) -> NDArray[np.uint8]:
    """Resizes an RGB image (H, W, 3), or a grey one (H, W), to (height, width, channels).

    A grey image gives, to the bit, what it gives as RGB, for a third of the work. Safe in any thread; the input is not
    changed.
    """
    height, width = pixels.shape[:2]
    is_grey = pixels.ndim == 2
    pixels = pixels if is_grey else to_channels(pixels, to.channels)
    if (height, width) != (to.height, to.width):
        # Averaging keeps a thin scratch visible where point sampling would step over it.
        shrinks = to.height <= height and to.width <= width
        resized = cv2.resize(
            pixels, (to.width, to.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        pixels = resized.astype(np.uint8, copy=False)
    if is_grey:
        pixels = to_channels(pixels, to.channels)
    return np.ascontiguousarray(pixels.reshape(to.height, to.width, to.channels))


def to_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """An RGB image (H, W, 3), or a grey one (H, W), as (H, W, channels), which are 3 or 1."""
    if pixels.ndim == 2:
        return (
            cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
            if channels == 3
            else pixels[..., np.newaxis]
        )
    if channels == 3:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)[..., np.newaxis]


def normalise(pixels: Any, to: Preparation) -> Any:
    """Brings float32 pixels 0..255 (n, height, width, channels) to the network's scale; an array or a tensor."""
    if to.preprocess == "scale":
        return pixels * np.float32(1 / 255)
    if to.preprocess == "none":
        return pixels
    scale = SCALES[str(to.backbone)]
    if scale == "caffe":
        return (pixels - _CAFFE_MEAN)[..., ::-1]
    if scale == "torch":
        return (pixels - _TORCH_MEAN) * (1 / _TORCH_DEVIATION)
    return pixels if scale == "own" else pixels * np.float32(1 / 127.5) - np.float32(1)
