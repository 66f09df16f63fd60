"""Learning: a network fitted to batches, the best epoch kept. Files and bundles are the business of `train`."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from inspectd.errors import DataError
from inspectd.model.backend import keras
from inspectd.model.spec import Precision
from inspectd.model.surgery import Anatomy, set_precision
from inspectd.training.batches import Batches
from inspectd.training.recipe import Recipe
from inspectd.training.report import Epoch


class Witness(Protocol):
    """Who watches a training."""

    def say(self, sentence: str) -> None:
        """Something a user should know."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far a stage (reading, an epoch, measuring) has come."""


@dataclass(frozen=True)
class Learned:
    """What learning left behind, beside the network's weights."""

    epochs: tuple[Epoch, ...]
    best: int  # from 0


def learn(
    network: Any,
    anatomy: Anatomy,
    training: Batches,
    validation: Batches,
    recipe: Recipe,
    precision: Precision,
    witness: Witness,
) -> Learned:
    """Fits the network and leaves it with the weights of one epoch, in float32, ending in its activation.

    The epoch is the best; or the last, where the recipe has no validation images to choose one by.

    While it learns it ends in logits: the loss of a saturated probability has no gradient.

    Raises:
        DataError: learning diverged.
    """
    decision = network.layers[-1]
    activation, decision.activation = decision.activation, keras.activations.linear
    set_precision(network, anatomy, precision)
    learner = keras.Model(network.inputs, network.outputs)  # so that `network` is saved without the optimizer's state
    learner.compile(
        optimizer=_optimizer(recipe, recipe.epochs * len(training)),
        loss=_loss(activation),
        metrics=[_accuracy(anatomy.units)],
        jit_compile=False,  # XLA would compile the last, smaller batch anew
    )
    watch = _Watch(network, recipe, len(training), witness)
    learner.fit(training, epochs=recipe.epochs, validation_data=validation, callbacks=[watch], verbose=0)
    network.set_weights(watch.weights)
    set_precision(network, anatomy, "float32")
    decision.activation = activation
    return Learned(tuple(watch.epochs), watch.best)


def _optimizer(recipe: Recipe, steps: int) -> Any:
    falling = recipe.schedule == "cosine"
    rate = keras.optimizers.schedules.CosineDecay(recipe.rate, steps) if falling else recipe.rate
    return keras.optimizers.Adam(rate) if recipe.optimizer == "adam" else keras.optimizers.SGD(rate, recipe.momentum)


def _loss(activation: Any) -> Any:
    if activation is keras.activations.softmax:
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    return keras.losses.BinaryCrossentropy(from_logits=True)


def _accuracy(units: int) -> Any:
    if units == 1:
        return keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)
    return keras.metrics.CategoricalAccuracy("accuracy")


class _Watch(keras.callbacks.Callback):  # type: ignore[misc] # Keras ships no types
    """Reports each step, collects each epoch and keeps the weights of one: of those with the least loss the last."""

    def __init__(self, network: Any, recipe: Recipe, steps: int, witness: Witness) -> None:
        super().__init__()
        self.network, self.recipe, self.steps, self.witness = network, recipe, steps, witness
        self.epochs: list[Epoch] = []
        self.best = 0
        self.weights: list[Any] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not np.isfinite(logs["loss"]):
            raise DataError(
                f"Learning diverged in epoch {len(self.epochs) + 1}: the loss is no number any more. Lower --rate."
            )
        self.witness.progress(f"epoch {len(self.epochs) + 1} of {self.recipe.epochs}", batch + 1, self.steps)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append(Epoch(**{name: float(value) for name, value in logs.items()}))
        now = self.epochs[-1]
        self.witness.say(
            f"Epoch {epoch + 1}: loss {now.loss:.4g}, accuracy {now.accuracy:.4f}; "
            f"validation loss {now.val_loss:.4g}, accuracy {now.val_accuracy:.4f}"
        )
        chooses = self.recipe.validation > 0
        if not self.weights or not chooses or now.val_loss <= self.epochs[self.best].val_loss:
            self.best, self.weights = epoch, self.network.get_weights()
