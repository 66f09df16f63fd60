"""A training that was interrupted goes on as it would have, or says why it cannot."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.witness import Witness

from inspectd.errors import DataError
from inspectd.model.engine.backend import keras
from inspectd.training.recipe import Recipe
from inspectd.training.train import train

RECIPE = Recipe(
    backbone="compact",
    cut="stage2_relu",
    head="flatten",  # it has a dropout, whose chance must go on as well
    width=32,
    height=32,
    weights="none",
    epochs=3,
    batch=8,
    rate=1e-3,
    precision="float32",
)


def interrupt(data: Path, out: Path, recipe: Recipe = RECIPE, at: str = "epoch 3") -> Witness:
    witness = Witness(at)
    with pytest.raises(KeyboardInterrupt):
        train(data, out, recipe, witness)
    return witness


def test_a_resumed_training_goes_on_as_it_would_have(data: Path, tmp_path: Path) -> None:
    whole = Witness()
    wanted = train(data, tmp_path / "whole", RECIPE, whole)
    first = interrupt(data, tmp_path / "models" / "bars")
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".bars.training"]
    second = Witness()
    found = train(data, tmp_path / "models" / "bars", RECIPE, second, resume=True)

    assert [path.name for path in (tmp_path / "models").iterdir()] == ["bars"]
    assert "Continues after 2 epochs." in second.said
    assert second.stages == ["looking", "reading", "epoch 3 of 3", "measuring", "evaluating"]
    assert [*first.figures("Epoch "), *second.figures("Epoch ")] == whole.figures("Epoch ")
    weights = [keras.saving.load_model(each.path / "model.keras").get_weights() for each in (wanted, found)]
    assert all(np.allclose(*pair, atol=1e-5) for pair in zip(*weights, strict=True))
    assert found.spec.thresholds.defect == pytest.approx(wanted.spec.thresholds.defect, abs=1e-4)


def test_one_that_was_interrupted_after_its_last_epoch_learns_no_more(data: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=1)
    interrupt(data, tmp_path / "bars", recipe, at="measuring")
    witness = Witness()
    bundle = train(data, tmp_path / "bars", recipe, witness, resume=True)
    assert witness.stages == ["looking", "reading", "measuring", "evaluating"]
    assert bundle.spec.training["best_epoch"] == 1


def test_only_the_same_training_is_resumed(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "bars"
    with pytest.raises(DataError, match=r"--resume: there is no interrupted training of .*bars\. Start one without"):
        train(data, out, RECIPE, Witness(), resume=True)
    interrupt(data, out, replace(RECIPE, epochs=2), at="epoch 2")
    again = interrupt(data, out, replace(RECIPE, epochs=2), at="epoch 1")
    assert (
        "There is an interrupted training of this model, which --resume would continue. This training starts anew."
        in again.said
    )
    with pytest.raises(
        DataError, match=r"--resume: rate was 0\.001 when the training was interrupted, and is 0\.01 now"
    ):
        train(data, out, replace(RECIPE, epochs=2, rate=0.01), Witness(), resume=True)
    (data / "ok" / "000.png").unlink()
    with pytest.raises(DataError, match="--resume: the images or their classes changed since"):
        train(data, out, replace(RECIPE, epochs=2), Witness(), resume=True)
    kept = tmp_path / ".bars.training" / "course.npz"
    for damaged in (b"nothing", b"", kept.read_bytes()[:-100]):
        kept.write_bytes(damaged)
        with pytest.raises(DataError, match=r"--resume: .*course\.npz is damaged .*Start again without --resume"):
            train(data, out, replace(RECIPE, epochs=2), Witness(), resume=True)


def test_a_model_is_trained_by_one_at_a_time(data: Path, tmp_path: Path) -> None:
    class Nosy(Witness):
        def progress(self, stage: str, done: int, total: int) -> None:
            super().progress(stage, done, total)
            with pytest.raises(DataError, match=r"Another training of .*bars runs"):
                train(data, tmp_path / "bars", RECIPE, Witness())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "bars", RECIPE, Nosy())
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
