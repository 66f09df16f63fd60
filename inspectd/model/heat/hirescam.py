"""HiResCAM: heat that shows only places that raised the logit (Draelos & Carin 2020, arXiv:2011.08891).

Gradients are not averaged over the map as in Grad-CAM. Where the head is linear in the target layer, the sum of this
heat before the ReLU is the logit itself, up to the bias.
"""

from typing import Any

from inspectd.model.engine.backend import keras


def hirescam(activations: Any, gradients: Any) -> Any:
    """Heat = ReLU(Σₖ ∂logit/∂Aₖ ⊙ Aₖ), place by place.

    Arguments and result as those of `gradcam.gradcam`.
    """
    products = keras.ops.cast(gradients, "float32") * keras.ops.cast(activations, "float32")
    return keras.ops.relu(keras.ops.sum(products, axis=-1))
