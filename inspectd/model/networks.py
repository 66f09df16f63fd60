"""The reference networks: a backbone, cut where its maps are fine enough, and a head that decides.

The article's network is `vgg16`, uncut, with the `flatten` head at 224×224: 40,407,874 parameters. Small defects need
full resolution instead: `vgg16` cut at `block3_conv3` with the `max` head, so that one small place is enough to decide.
Every network ends in an activation (sigmoid or softmax) in its last layer and takes pixels as `normalise` gives them.
"""

from typing import Any

from inspectd.errors import DataError
from inspectd.model.backend import keras
from inspectd.model.spec import Backbone, Head, Preparation

COMPACT_STAGES = ((7, 16), (3, 32), (3, 48), (3, 64))  # side of the kernel, number of maps


def build_network(
    backbone: Backbone, cut: str | None, head: Head, classes: int, to: Preparation, *, imagenet: bool = False
) -> Any:
    """A network with flat layers, weights random or (the backbone's) those of ImageNet.

    Args:
        cut: The backbone's layer after which the head follows; None for the whole backbone.
        classes: Number of classes, at least two. Two give the article's two sigmoid units under the `flatten` head and
            one sigmoid unit under the others; more give a softmax.

    Raises:
        DataError: there is no such layer, or no such weights.
    """
    trunk = _vgg16(to, imagenet) if backbone == "vgg16" else _compact(to, imagenet)
    layer = trunk.layers[-1] if cut is None else next((each for each in trunk.layers if each.name == cut), None)
    if layer is None:
        names = ", ".join(each.name for each in trunk.layers[1:])
        raise DataError(f"--cut {cut}: {backbone} has no such layer. It has {names}.")
    units = 1 if classes == 2 and head != "flatten" else classes
    activation = "sigmoid" if classes == 2 else "softmax"
    # Features cut from a pretrained backbone run into the thousands: random weights on them take epochs to unlearn.
    start = "zeros" if backbone == "vgg16" and head != "flatten" else "glorot_uniform"
    decision = keras.layers.Dense(units, activation=activation, kernel_initializer=start, name="decision")
    return keras.Model(trunk.input, decision(_head(head, layer.output)), name=backbone)


def target_layer(network: Any) -> str:
    """The name of the layer that Grad-CAM looks at: the last that gives a map and is no pooling."""
    maps = [layer for layer in network.layers if len(layer.output.shape) == 4 and "pool" not in layer.name]
    return str(maps[-1].name)


def _head(head: Head, maps: Any) -> Any:
    layers = keras.layers
    if head == "max":
        return layers.GlobalMaxPooling2D(name="global_max")(maps)
    if head == "avg":
        return layers.GlobalAveragePooling2D(name="global_avg")(maps)
    hidden = layers.Dense(1024, activation="relu", name="hidden")(layers.Flatten(name="flatten")(maps))
    return layers.Dropout(0.5, name="dropout")(hidden)


def _vgg16(to: Preparation, imagenet: bool) -> Any:
    """VGG16 without its top (Simonyan & Zisserman 2014), which needs three channels and at least 32×32 pixels."""
    if to.channels != 3 or min(to.width, to.height) < 32:
        raise DataError("The vgg16 backbone needs RGB input of at least 32×32 pixels.")
    try:
        return keras.applications.VGG16(
            include_top=False, weights="imagenet" if imagenet else None, input_shape=(to.height, to.width, 3)
        )
    except Exception as error:
        if not imagenet:
            raise
        raise DataError(
            f"The ImageNet weights could not be downloaded ({error}). Give a file with --weights FILE, or start from "
            "random weights with --weights none."
        ) from error


def _compact(to: Preparation, imagenet: bool) -> Any:
    """A small backbone for textures: four convolutions, at 1/2, 1/4, 1/8 and 1/16 of the resolution.

    Pooling between them, where strides would do, is what lets it learn from a few hundred images. Its statistics follow
    within tens of steps (momentum 0.9), since small data sets make short epochs.
    """
    if imagenet:
        raise DataError("The compact backbone has no ImageNet weights. Use --weights none.")
    layers = keras.layers
    inputs = keras.Input((to.height, to.width, to.channels), name="pixels")
    maps = inputs
    for stage, (side, width) in enumerate(COMPACT_STAGES, start=1):
        if stage > 1:
            maps = layers.MaxPooling2D(name=f"stage{stage}_pool")(maps)
        maps = layers.Conv2D(
            width,
            side,
            strides=2 if stage == 1 else 1,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"stage{stage}_conv",
        )(maps)
        maps = layers.BatchNormalization(momentum=0.9, name=f"stage{stage}_norm")(maps)
        maps = layers.ReLU(name=f"stage{stage}_relu")(maps)
    return keras.Model(inputs, maps, name="compact")
