"""The same bundles on TensorFlow, in this process, and on JAX, in another one."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.networks import Case, sequential, with_golden_images

from inspectd.errors import BundleError
from inspectd.model.bundle import Bundle
from inspectd.model.engine import engine
from inspectd.model.engine.backend import SOFTWARE, keras
from inspectd.model.loading import open_inspector

METHODS = ("gradcam", "layercam")

ON_JAX = """
import json, sys
from pathlib import Path
import numpy as np
from inspectd.model.bundle import load_bundle
from inspectd.model.loading import open_inspector

def findings(folder):
    inspector = open_inspector(load_bundle(folder / "bundle"), "auto")
    if folder.name.startswith("nested"):
        inspector.warm_up(4)
    warm = inspector.traces
    images = np.load(folder / "images.npy")
    found = {method: inspector.inspect(images, [method]) for method in ("gradcam", "layercam")}
    inspector.inspect(images[:3], ["gradcam"])
    np.savez(
        folder / "found.npz",
        logits=[each.logits for each in found["gradcam"]],
        **{method: [each.heat for each in found[method]] for method in found},
    )
    return {
        "device": inspector.device, "precision": inspector.precision, "remarks": inspector.remarks,
        "warm": warm, "later": inspector.traces - warm,
    }

told = {folder: findings(Path(folder)) for folder in sys.argv[1:]}
from inspectd.model.engine.backend import SOFTWARE, keras
from inspectd.model.engine import engine
layer = keras.layers.Conv2D(2, 3)
layer.build((None, 8, 8, 3))
maps = keras.ops.ones((1, 8, 8, 3))
without_part = engine.gradient(lambda: (maps[:, 0, 0, 0] * len(layer(maps).shape), "found"), layer)[::2]
print(json.dumps({
    "bundles": told, "software": SOFTWARE, "without_part": without_part, "tensorflow": "tensorflow" in sys.modules
}))
"""


def on(backend: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"KERAS_BACKEND": backend}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, check=False)


@dataclass(frozen=True)
class Both:
    """A case's bundle, and what JAX said of it."""

    case: Case
    bundle: Bundle
    folder: Path
    told: dict[str, Any]


def nested() -> Case:
    """A small network as a single layer of another one, with a layer that is a part of a branch."""
    layers = keras.layers
    inside = keras.Input((32, 32, 3))
    maps = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="maps")(inside)
    branch = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(maps))
    inner = keras.Model(inside, layers.Add()([maps, branch]))
    pixels = keras.Input((32, 32, 3))
    decision = layers.Dense(1, activation="sigmoid")
    network = keras.Model(pixels, decision(layers.GlobalMaxPooling2D()(inner(pixels))))
    decision.kernel.assign(keras.ops.abs(decision.kernel))
    return Case(network, lambda _: (None, None), "maps", 32)


NETWORKS = {"sequential": sequential, "nested": nested}


@pytest.fixture(scope="module")
def jax(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Both], dict[str, Any]]:
    """Every network's bundle by name, and what the process on JAX said of itself; `proven` has golden images."""
    made: dict[str, tuple[Case, Bundle, Path]] = {}
    for name, build in NETWORKS.items():
        keras.utils.set_random_seed(3)
        case, folder = build(), tmp_path_factory.mktemp(name)
        made[name] = case, case.bundle(folder), folder
    folder = tmp_path_factory.mktemp("proven")
    (folder / "draft").mkdir()
    made["proven"] = sequential(), with_golden_images(folder / "draft")(folder / "bundle", 0.1), folder
    for case, _, folder in made.values():
        np.save(folder / "images.npy", case.images(5))
    done = on("jax", "-c", ON_JAX, *[str(folder) for _, _, folder in made.values()])
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    bundles = said.pop("bundles")
    return {name: Both(*each, bundles[str(each[2])]) for name, each in made.items()}, said


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
def test_logits_and_heat_are_the_same(jax: tuple[dict[str, Both], dict[str, Any]], name: str, method: Any) -> None:
    both = jax[0][name]
    found = np.load(both.folder / "found.npz")
    expected = open_inspector(both.bundle, "cpu", method=method).inspect(both.case.images(5))
    np.testing.assert_allclose(found["logits"], [each.logits for each in expected], rtol=1e-4)
    for heat, finding in zip(found[method], expected, strict=True):
        assert finding.heat.max() > 0
        cosine = (heat * finding.heat).sum() / np.linalg.norm(heat) / np.linalg.norm(finding.heat)
        assert cosine > 0.999
        assert heat.max() == pytest.approx(finding.heat.max(), rel=1e-3)


def test_golden_images_made_on_tensorflow_are_reproduced(jax: tuple[dict[str, Both], dict[str, Any]]) -> None:
    assert jax[0]["proven"].told["remarks"] == []
    assert "it is not proven" in jax[0]["nested"].told["remarks"][0]


def test_tensorflow_is_not_imported(jax: tuple[dict[str, Both], dict[str, Any]]) -> None:
    assert not jax[1]["tensorflow"]
    assert ", JAX " in jax[1]["software"]
    assert ", TensorFlow " in SOFTWARE


def test_nothing_is_traced_after_the_warm_up(jax: tuple[dict[str, Both], dict[str, Any]]) -> None:
    told = jax[0]["nested"].told
    assert (told["warm"], told["later"]) == (2, 2), "sizes 1 and 4 once, and once for the other method"


def test_the_processor_computes_in_float32(jax: tuple[dict[str, Both], dict[str, Any]]) -> None:
    told = jax[0]["proven"].told
    assert (told["device"], told["precision"]) == ("cpu", "float32")


def test_a_layer_without_a_part_in_the_numbers_has_no_gradient(jax: tuple[dict[str, Both], dict[str, Any]]) -> None:
    layer = keras.layers.Conv2D(2, 3)
    layer.build((None, 8, 8, 3))
    maps = keras.ops.ones((1, 8, 8, 3))
    found, _, gradients = engine.gradient(lambda: (maps[:, 0, 0, 0] * len(layer(maps).shape), "found"), layer)
    assert (found, gradients) == ("found", None)
    assert jax[1]["without_part"] == ["found", None]


def test_a_layer_is_called_once() -> None:
    layer = keras.layers.Conv2D(3, 3)
    layer.build((None, 8, 8, 3))
    with pytest.raises(BundleError, match="used 2 times in one pass"):
        engine.gradient(lambda: (layer(layer(keras.ops.ones((1, 8, 8, 3)))), None), layer)


@pytest.mark.parametrize(
    ("backend", "sentence"),
    [
        ("jax", "KERAS_BACKEND=jax: this command needs TensorFlow; only the inspection of images runs without it"),
        ("torch", "KERAS_BACKEND=torch: networks run on tensorflow or jax. Set one of them, or none."),
    ],
)
def test_what_cannot_train_is_a_sentence(backend: str, sentence: str, tmp_path: Path) -> None:
    done = on(backend, "-m", "inspectd", "train", str(tmp_path), "--out", str(tmp_path / "model"))
    assert sentence in " ".join(done.stderr.split())
    assert (done.returncode, done.stdout) == (78, "")
