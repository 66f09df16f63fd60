"""LayerCAM: heat from each place's own gradient (Jiang et al. 2021, IEEE TIP 30, doi:10.1109/TIP.2021.3089943).

Where Grad-CAM gives a whole map one weight, every place keeps its own here, so that layers of high resolution give fine
heat. The formula alone, like `gradcam`.
"""

from typing import Any

from inspectd.model.engine.backend import keras


def layercam(activations: Any, gradients: Any) -> Any:
    """Heat = ReLU(Σₖ ReLU(∂logit/∂Aₖ) ⊙ Aₖ), place by place.

    Takes and gives what `gradcam.gradcam` does.
    """
    weights = keras.ops.relu(keras.ops.cast(gradients, "float32"))
    return keras.ops.relu(keras.ops.sum(weights * keras.ops.cast(activations, "float32"), axis=-1))
