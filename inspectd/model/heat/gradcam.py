"""Grad-CAM: where a network looked when it decided (Selvaraju et al. 2017, arXiv:1610.02391).

The formula alone, as in the methods beside it (`methods` lists them). What gradients are taken of and how they are
reached is the business of `keras_inspector`.
"""

from typing import Any

from inspectd.model.engine.backend import keras


def gradcam(activations: Any, gradients: Any) -> Any:
    """Heat = ReLU(Σₖ αₖ Aₖ), αₖ the mean over the map of ∂logit/∂Aₖ (the paper's equations 1 and 2).

    Args:
        activations: The target layer's output A, (n, h, w, k), in any floating type.
        gradients: ∂logit/∂A, of the same shape.

    Returns:
        float32 (n, h, w), ≥ 0, in the units of the logit. A sum over many channels needs float32 to be one.
    """
    activations = keras.ops.cast(activations, "float32")
    weights = keras.ops.mean(keras.ops.cast(gradients, "float32"), axis=(1, 2))
    return keras.ops.relu(keras.ops.einsum("nhwk,nk->nhw", activations, weights))
