"""LayerCAM: heat from the gradient of each place (Jiang et al. 2021, IEEE TIP 30, doi:10.1109/TIP.2021.3089943).

Grad-CAM gives a whole map one weight; here every place has its own, so layers of high resolution give fine heat.
"""

from typing import Any

from inspectd.model.engine.backend import keras


def layercam(activations: Any, gradients: Any) -> Any:
    """Heat = ReLU(Σₖ ReLU(∂logit/∂Aₖ) ⊙ Aₖ), place by place.

    Arguments and result as those of `gradcam.gradcam`.
    """
    weights = keras.ops.relu(keras.ops.cast(gradients, "float32"))
    return keras.ops.relu(keras.ops.sum(weights * keras.ops.cast(activations, "float32"), axis=-1))
