"""What a recipe makes of a training: the head first, layers held still, patience, and a batch that is too large."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.witness import Witness

from inspectd.errors import DataError
from inspectd.model.engine.backend import keras
from inspectd.model.networks import open_backbone
from inspectd.training.recipe import Recipe
from inspectd.training.train import train

RECIPE = Recipe(
    backbone="compact", cut=None, width=48, height=48, weights="none", epochs=1, batch=8, rate=1e-3, precision="float32"
)


@pytest.fixture
def backbone(tmp_path: Path) -> tuple[Path, keras.Model]:
    """A whole backbone's weights in a file, with statistics that it has lived in."""
    keras.utils.set_random_seed(3)
    trunk = open_backbone("compact", RECIPE.preparation)
    pixels = np.random.default_rng(1).uniform(-1, 1, (8, 48, 48, 3)).astype(np.float32)
    for _ in range(20):
        trunk(pixels, training=True)
    trunk.save_weights(tmp_path / "compact.weights.h5")
    return tmp_path / "compact.weights.h5", trunk


def test_the_head_learns_on_what_the_backbone_saw_once_and_then_the_upper_part_with_it(
    backbone: tuple[Path, keras.Model], data: Path, tmp_path: Path
) -> None:
    file, trunk = backbone
    recipe = replace(RECIPE, weights=str(file), head_epochs=6, head_rate=1e-2, train_from="stage4_conv")
    witness = Witness()
    bundle = train(data, tmp_path / "bars", recipe, witness)
    assert witness.stages[2:] == [
        "features",
        *(f"head's epoch {n} of 6" for n in range(1, 7)),
        "epoch 1 of 1",
        "measuring",
        "evaluating",
    ]
    assert len(witness.figures("Head's epoch")) == 6
    assert witness.said[0].endswith("weights for all 8 layers that have any")

    network = keras.saving.load_model(bundle.path / "model.keras")
    assert all(layer.trainable for layer in network.layers), "what was held still is the training's business"
    for name in ("stage1_conv", "stage1_norm", "stage3_conv", "stage3_norm", "stage4_norm"):
        pairs = zip(network.get_layer(name).get_weights(), trunk.get_layer(name).get_weights(), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs), name
    moved = network.get_layer("stage4_conv").get_weights()[0] - trunk.get_layer("stage4_conv").get_weights()[0]
    assert np.abs(moved).max() > 0


def test_what_was_measured_in_the_heads_stage_is_true_of_the_whole_network(
    backbone: tuple[Path, keras.Model], data: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, weights=str(backbone[0]), head_epochs=2, epochs=0)
    witness = Witness()
    bundle = train(data, tmp_path / "bars", recipe, witness)
    best = bundle.spec.training["best_epoch"]
    said = witness.figures(f"Head's epoch {best}:")[0]
    assert float(said.split("validation loss ")[1].split(",")[0]) == pytest.approx(
        bundle.spec.metrics["loss"], rel=1e-3
    )


def test_a_layer_that_is_not_there_is_said_before_anything_is_read(data: Path, tmp_path: Path) -> None:
    witness = Witness()
    with pytest.raises(DataError, match=r"train_from: block5: the network has no such layer\. It has stage1_conv, "):
        train(data, tmp_path / "bars", replace(RECIPE, train_from="block5"), witness)
    assert witness.stages == ["looking"]


def test_learning_ends_when_it_gets_no_better(data: Path, tmp_path: Path) -> None:
    """With a rate that ruins the network, one of the first epochs stays the best."""
    witness = Witness()
    recipe = replace(RECIPE, rate=0.5, schedule="constant", epochs=40, patience=2, class_weights="balanced")
    bundle = train(data, tmp_path / "bars", recipe, witness)
    ran = len(witness.figures("Epoch "))
    assert ran == bundle.spec.training["best_epoch"] + 2 < 40
    assert "Stopping early: no improvement for 2 epochs." in witness.said


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_batch_without_memory_is_halved_and_said_and_learning_goes_on(data: Path, tmp_path: Path) -> None:
    """One layer's maps take 64 MiB an image, and the system grants a good deal less than those of a batch."""
    code = """
import resource, sys
from pathlib import Path
from inspectd.training.recipe import Recipe
from inspectd.training.train import train

class Witness:
    def say(self, sentence):
        print(sentence)

    def progress(self, stage, done, total):
        if (stage, done) == ("reading", total):
            lines = Path("/proc/self/status").read_text().splitlines()
            used = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:"))
            resource.setrlimit(resource.RLIMIT_DATA, (used + (900 << 20), resource.RLIM_INFINITY))
        if stage.startswith("epoch"):
            resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

recipe = Recipe(cut="block1_conv1", weights="none", epochs=1, batch=16, precision="float32")
print(train(Path(sys.argv[1]), Path(sys.argv[2], "bars"), recipe, Witness()).spec.training["batch"])
"""
    # oneDNN's own kernels do not report a lack of memory, they end the process.
    plain = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    ran = subprocess.run(
        [sys.executable, "-c", code, str(data), str(tmp_path)], capture_output=True, env=plain, check=True
    )
    said = ran.stdout.decode().splitlines()
    assert said[1].startswith("Not enough memory for 16 images in a step: it continues with 8.")
    assert int(said[-1]) <= 8
