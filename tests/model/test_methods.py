"""The methods of explaining: their papers' formulas place by place, and what other people's code makes of a network."""

from pathlib import Path

import numpy as np
import pytest
from support.networks import Case, sequential
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.utils.scores import CategoricalScore

from inspectd.domain import Method
from inspectd.model.engine.backend import keras
from inspectd.model.heat.methods import METHODS
from inspectd.model.keras_inspector import KerasInspector

FORMULAS = {
    "gradcam": lambda a, g: np.maximum(sum(g[..., k].mean() * a[..., k] for k in range(a.shape[-1])), 0),
    "layercam": lambda a, g: np.maximum(sum(np.maximum(g[..., k], 0) * a[..., k] for k in range(a.shape[-1])), 0),
    "hirescam": lambda a, g: np.maximum(sum(g[..., k] * a[..., k] for k in range(a.shape[-1])), 0),
}


@pytest.mark.parametrize("method", METHODS)
class TestFormulas:
    def test_is_the_papers_for_each_image_of_a_batch(self, method: Method) -> None:
        rng = np.random.default_rng(8)
        activations, gradients = rng.normal(size=(2, 3, 5, 7, 6)).astype(np.float32)
        heat = METHODS[method](activations, gradients).numpy()
        wanted = np.stack([FORMULAS[method](a, g) for a, g in zip(activations, gradients, strict=True)])
        assert (wanted == 0).any()
        assert (wanted > 1).any()
        np.testing.assert_allclose(heat, wanted, rtol=1e-5, atol=1e-5)

    def test_sums_in_float32_what_comes_in_bfloat16(self, method: Method) -> None:
        """Added up in bfloat16, two thousand ones would end at 256."""
        ones = keras.ops.ones((1, 2, 2, 2000), "bfloat16")
        heat = METHODS[method](ones, ones)
        assert heat.dtype == "float32"
        assert (heat.numpy() == 2000).all()


def test_hirescams_heat_adds_up_to_the_logit_under_a_linear_head(tmp_path: Path) -> None:
    """Draelos & Carin's point: what is shown is what the decision was made of."""
    case = sequential()
    case.network.layers[-2].bias.assign([0.0, 3.0])
    (finding,) = KerasInspector(case.bundle(tmp_path), "cpu", "float32", "hirescam").inspect(case.images(1))
    assert finding.heat.sum() == pytest.approx(finding.logits[1] - 3.0, rel=1e-4)


def test_gradcam_equals_tf_keras_vis(tmp_path: Path) -> None:
    """On a flat network, the kind it can take; after its scaling: each image from its least heat to its greatest."""
    keras.utils.set_random_seed(3)
    layers, pixels = keras.layers, keras.Input((40, 40, 3))
    maps = layers.Conv2D(12, 3, activation="relu", name="maps")(layers.Conv2D(8, 5, 2, activation="relu")(pixels))
    network = keras.Model(pixels, layers.Dense(2)(layers.Flatten()(layers.MaxPooling2D()(maps))))
    network.layers[-1].kernel.assign(keras.ops.abs(network.layers[-1].kernel))  # so that there is heat everywhere
    case = Case(network, lambda _: (None, None), "maps", 40, "softmax")
    images = case.images(3)
    ours = KerasInspector(case.bundle(tmp_path), "cpu", "float32").inspect(images)
    theirs = Gradcam(network)(
        CategoricalScore([1, 1, 1]), np.stack(images) / np.float32(255), penultimate_layer="maps", expand_cam=False
    )
    for finding, wanted in zip(ours, theirs, strict=True):
        low, high = finding.heat.min(), finding.heat.max()
        assert high > low
        np.testing.assert_allclose((finding.heat - low) / (high - low), wanted, atol=1e-4)
