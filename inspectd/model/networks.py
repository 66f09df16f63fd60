"""The reference networks: a backbone, cut at a layer whose maps are fine enough, and a head that decides.

A backbone is any of `keras.applications`, or our own. The article's network is `vgg16`, uncut, with the `flatten` head
at 224×224: 40,407,874 parameters. Small defects need full resolution instead: `vgg16` cut at `block3_conv3` with the
`max` head, so that one small place is enough to decide. The last layer of every network is an
activation (sigmoid or softmax); the input is pixels from `normalise`.
"""

import itertools
import math
from collections import Counter
from typing import Any

from inspectd.errors import DataError
from inspectd.model.backbones import KERAS
from inspectd.model.engine.backend import keras
from inspectd.model.spec import Backbone, Head, Preparation
from inspectd.model.surgery import Anatomy, has_learned, nodes_named, parts

# The momentum of a layer's statistics. With that of the ImageNet networks (0.99, 0.999) the statistics need thousands
# of steps to fit other images. A training here has some hundreds, and would be validated with statistics of ImageNet.
MOMENTUM = 0.9
# The modules of Keras layers that neither change a feature nor move it to another place; and the operators of a graph
# that stand for layers which compute features.
PASSING = frozenset({"pooling", "reshaping", "regularization", "preprocessing"})
JOINING = frozenset({"Add", "Subtract", "Multiply", "Maximum", "Minimum", "Concatenate"})
FEATURES = "features"  # the layer below the evidence: its normalised maps are what the `evidence` head weighs
COMPACT_STAGES = ((7, 16), (3, 32), (3, 48), (3, 64))  # side of the kernel, number of maps


def build_network(
    backbone: Backbone, cut: str | None, head: Head, classes: int, to: Preparation, *, imagenet: bool = False
) -> Any:
    """`add_head` upon `open_backbone`."""
    return add_head(open_backbone(backbone, to, imagenet=imagenet), cut, head, classes)


def open_backbone(name: Backbone, to: Preparation, *, imagenet: bool = False) -> Any:
    """A whole backbone without its top, with random weights or those of ImageNet.

    Raises:
        DataError: the backbone does not accept such images, or the weights are not available.
    """
    if name == "compact":
        return _compact(to, imagenet)
    try:
        trunk = getattr(keras.applications, KERAS[name])(
            include_top=False, weights="imagenet" if imagenet else None, input_shape=(to.height, to.width, to.channels)
        )
    except Exception as error:
        reason = " ".join(str(error).split())
        if isinstance(error, ValueError) and "shape" in reason:
            raise DataError(f"{name} does not take images of {to.width}×{to.height}: {reason}") from error
        if not imagenet:
            raise
        raise DataError(
            f"The ImageNet weights could not be downloaded ({reason}). Give a file with --weights FILE, or start from "
            "random weights with --weights none."
        ) from error
    trunk.name = name
    for layer in trunk.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = MOMENTUM
    return trunk


def add_head(trunk: Any, cut: str | None, head: Head, classes: int) -> Any:
    """A network with flat layers: the cut backbone and the head.

    Args:
        cut: The backbone's layer after which the head follows; None for the whole backbone.
        classes: Number of classes, at least two. Two give the article's two sigmoid units under the `flatten` head and
            one sigmoid unit under the others; more give a softmax. The first one is an OK class.

    Raises:
        DataError: the layer does not exist, or its output is not a map.
    """
    layer = trunk.layers[-1] if cut is None else next((each for each in trunk.layers if each.name == cut), None)
    if layer is None:
        names = ", ".join(each.name for each in trunk.layers[1:])
        raise DataError(f"--cut {cut}: {trunk.name} has no such layer. It has {names}.")
    if len(layer.output.shape) != 4:
        raise DataError(
            f"--cut {cut}: the output of this layer of {trunk.name} is not a map. Name a convolution or a layer "
            "that follows one."
        )
    if head == "evidence":
        return keras.Model(trunk.input, _evidence(layer.output, classes), name=trunk.name)
    units = 1 if classes == 2 and head != "flatten" else classes
    activation = "sigmoid" if classes == 2 else "softmax"
    # A cut backbone has thousands of features: training needs epochs to unlearn random weights on them.
    start = "glorot_uniform" if trunk.name == "compact" or head == "flatten" else "zeros"
    decision = keras.layers.Dense(units, activation=activation, kernel_initializer=start, name="decision")
    return keras.Model(trunk.input, decision(_head(head, layer.output)), name=trunk.name)


def target_layer(network: Any, anatomy: Anatomy) -> str:
    """The name of Grad-CAM's target layer: the last called layer whose output is a map, nested layers included.

    A map of 1×1 has no places. A layer that is called twice or whose name is not unique cannot be the target.

    Raises:
        DataError: none is to be seen.
    """
    if nodes_named(network, FEATURES) and nodes_named(network, "evidence"):
        return FEATURES
    within = {id(part) for part in parts(network)}
    learned = itertools.dropwhile(lambda call: not has_learned(call.node), anatomy.calls)
    calls = [call for call in learned if id(call.node) in within and _is_map(call.shape) and _makes_features(call.node)]
    times = Counter(id(call.node) for call in anatomy.calls)
    for call in reversed(calls):
        if times[id(call.node)] == 1 and len(nodes_named(network, call.node.name)) == 1:
            return str(call.node.name)
    if calls:
        raise DataError(
            f"No layer can be named for Grad-CAM: {calls[-1].node.name}, like all that give a map, is called more than "
            "once, or others have its name. Save the network with each layer called once and named differently."
        )
    raise DataError("The network has no layer that gives a map (n, h, w, k). Name one for Grad-CAM with --layer.")


def _is_map(shape: tuple[int | None, ...]) -> bool:
    return len(shape) == 4 and (shape[1] or 2) * (shape[2] or 2) > 1


def _makes_features(node: Any) -> bool:
    """Whether it gives features, at the places of its input; a pooling, a dropout, a padding only hands them on."""
    kind = type(node)
    if isinstance(node, keras.layers.Layer):
        return PASSING.isdisjoint(kind.__module__.split(".")) and not isinstance(node, keras.layers.Softmax)
    is_activation = kind.__module__.endswith(".ops.nn") and "Pool" not in kind.__name__ and kind.__name__ != "Softmax"
    return is_activation or kind.__name__ in JOINING


def _evidence(maps: Any, classes: int) -> Any:
    """A decision from local evidence: one map for each NG class, pooled by log-sum-exp (Pinheiro & Collobert 2015).

    The evidence is linear in the features below it, so Grad-CAM of that layer shows the map itself, up to its scale.
    """
    layers, ops = keras.layers, keras.ops
    places = int(maps.shape[1]) * int(maps.shape[2])
    features = layers.BatchNormalization(center=False, scale=False, momentum=MOMENTUM, name=FEATURES)(maps)
    evidence = layers.Conv2D(classes - 1, 1, kernel_initializer="zeros", name="evidence")(features)
    logits = ops.logsumexp(evidence, axis=(1, 2)) - math.log(places)
    if classes == 2:
        return layers.Activation("sigmoid", name="decision")(logits)
    # The first class is OK: its logit is 0, and each other class needs evidence against it.
    return layers.Activation("softmax", name="decision")(ops.pad(logits, ((0, 0), (1, 0))))


def _head(head: Head, maps: Any) -> Any:
    layers = keras.layers
    if head == "max":
        return layers.GlobalMaxPooling2D(name="global_max")(maps)
    if head == "avg":
        return layers.GlobalAveragePooling2D(name="global_avg")(maps)
    hidden = layers.Dense(1024, activation="relu", name="hidden")(layers.Flatten(name="flatten")(maps))
    return layers.Dropout(0.5, name="dropout")(hidden)


def _compact(to: Preparation, imagenet: bool) -> Any:
    """A small backbone for textures: four convolutions, at 1/2, 1/4, 1/8 and 1/16 of the resolution.

    Pooling between them, where strides would do, is what lets it learn from a few hundred images.
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
        maps = layers.BatchNormalization(momentum=MOMENTUM, name=f"stage{stage}_norm")(maps)
        maps = layers.ReLU(name=f"stage{stage}_relu")(maps)
    return keras.Model(inputs, maps, name="compact")
