"""Grad-CAM: shows where a network looked when it decided (Selvaraju et al. 2017, arXiv:1610.02391).

Each method's file holds only its formula (`methods` lists them). `keras_inspector` computes the gradients.
"""

from typing import Any

from inspectd.model.engine.backend import keras


def gradcam(activations: Any, gradients: Any) -> Any:
    """Heat = ReLU(Σₖ αₖ Aₖ), αₖ the mean over the map of ∂logit/∂Aₖ (the paper's equations 1 and 2).

    Args:
        activations: The target layer's output A, (n, h, w, k), in any floating type.
        gradients: ∂logit/∂A, of the same shape.

    Returns:
        float32 (n, h, w), ≥ 0, in the units of the logit. Computed in float32, because a sum over many channels loses
        too much in 16 bits.
    """
    activations = keras.ops.cast(activations, "float32")
    weights = keras.ops.mean(keras.ops.cast(gradients, "float32"), axis=(1, 2))
    return keras.ops.relu(keras.ops.einsum("nhwk,nk->nhw", activations, weights))
