"""Turns an image's pixels into a network's input, in training as in inspection.

`prepare` runs once per image, on the processor, in uint8; `normalise` runs on a batch inside the compiled call.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspectd.model.backbones import SCALES
from inspectd.model.spec import Preparation

# Means and deviations of red, green and blue over ImageNet, 0..255: those of VGG16 (Simonyan & Zisserman 2014), and
# those that Keras uses for the networks that were trained in Torch.
_CAFFE_MEAN = np.array([123.68, 116.779, 103.939], np.float32)
_TORCH_MEAN = np.array([0.485, 0.456, 0.406], np.float32) * np.float32(255)
_TORCH_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32) * np.float32(255)


def prepare(pixels: NDArray[np.uint8], to: Preparation) -> NDArray[np.uint8]:
    """Resizes an RGB image (H, W, 3), or a grey one (H, W), to (height, width, channels).

    A grey image gives the same bits as its RGB form, for a third of the work. Any thread may call it; the input stays
    unchanged.
    """
    height, width = pixels.shape[:2]
    is_grey = pixels.ndim == 2
    pixels = pixels if is_grey else to_channels(pixels, to.channels)
    if (height, width) != (to.height, to.width):
        # Averaging keeps a thin scratch visible; point sampling can skip it.
        shrinks = to.height <= height and to.width <= width
        resized = cv2.resize(
            pixels, (to.width, to.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        pixels = resized.astype(np.uint8, copy=False)
    if is_grey:
        pixels = to_channels(pixels, to.channels)
    return np.ascontiguousarray(pixels.reshape(to.height, to.width, to.channels))


def to_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Converts an RGB (H, W, 3) or grey (H, W) image to (H, W, channels) with 3 or 1 channels."""
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
    """Scales float32 pixels 0..255 (n, height, width, channels), an array or a tensor, as the network expects."""
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
