"""Fits a network to batches, epoch by epoch, and keeps the best epoch. `train` handles the files.

A training has one or two stages: first the head alone, on features that the backbone computed once; then the network.
Every epoch ends in a `Course`, from which the next epoch starts, also after a restart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from inspectd.errors import DataError
from inspectd.model.engine.backend import keras
from inspectd.model.engine.on_tensorflow import tf
from inspectd.training.batches import Batches
from inspectd.training.course import Course, Values
from inspectd.training.recipe import Recipe
from inspectd.training.report import Epoch


class Witness(Protocol):
    """The receiver of a training's progress."""

    def say(self, sentence: str) -> None:
        """Reports a sentence that a user should know."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Reports the progress of a stage (reading, an epoch, measuring)."""


@dataclass(frozen=True)
class Stage:
    """One stage of a training.

    Attributes:
        name: The name of its epochs in messages.
        model: The Keras model; it shares its layers with the network and ends in logits.
        epochs: The most epochs.
    """

    name: str
    model: Any
    training: Batches
    validation: Batches
    epochs: int
    rate: float
    schedule: Literal["cosine", "constant"]


def learn(
    network: Any,
    stages: Sequence[Callable[[], Stage]],
    recipe: Recipe,
    course: Course,
    save: Callable[[Course], None],
    witness: Witness,
) -> None:
    """Runs the stages of a training and leaves the network with the weights of the kept epoch.

    The kept epoch is the best one, or the last if the recipe has no validation images. If memory does not suffice for a
    batch, its size is halved and the epoch starts again.

    Args:
        stages: Each is created when its turn comes, from the network that the stage before left.
        course: The course so far; updated in place.
        save: Called after each epoch.

    Raises:
        DataError: training diverged, or not even one image fits into memory.
    """
    _put(network.variables, course.weights)
    course.weights = course.weights or _get(network.variables)
    for number in range(course.stage, len(stages)):
        stage = stages[number]()
        _Run(network, stage, recipe, course, witness).to_its_end(save)
        course.weights, course.optimizer, course.stage, course.done = course.kept, [], number + 1, 0
        _put(network.variables, course.weights)
        save(course)


class _Run:
    """A running stage."""

    def __init__(self, network: Any, stage: Stage, recipe: Recipe, course: Course, witness: Witness) -> None:
        self.network, self.stage, self.recipe, self.course, self.witness = network, stage, recipe, course, witness
        self.before = len(course.epochs) - course.done  # epochs of earlier stages

    def to_its_end(self, save: Callable[[Course], None]) -> None:
        course = self.course
        self._begin()
        while course.done < self.stage.epochs and not self._has_waited():
            try:
                figures = self._epoch()
            except (tf.errors.ResourceExhaustedError, tf.errors.AbortedError, MemoryError) as error:
                if not _lacks_memory(error):
                    raise
                self._halve()
                continue
            self._take(figures)
            save(course)

    def _begin(self) -> None:
        """Restores the model's state from the course, and sets the schedule for its batch size."""
        stage, course = self.stage, self.course
        stage.training.begin(course.done, course.batch)
        stage.validation.begin(0, course.batch)
        steps = len(stage.training)
        optimizer = _optimizer(self.recipe, stage, steps)
        optimizer.build(stage.model.trainable_variables)
        _put(optimizer.variables, course.optimizer)
        optimizer.iterations.assign(course.done * steps)
        _put(self.network.variables, course.weights)
        stage.model.compile(
            optimizer=optimizer,
            loss=_loss(stage.training.answers.shape[1]),
            metrics=[_accuracy(stage.training.answers.shape[1])],
            jit_compile=False,  # XLA would compile the last, smaller batch anew
        )

    def _epoch(self) -> Epoch:
        stage, course = self.stage, self.course
        stage.training.begin(course.done, course.batch)
        watch = _Watch(self.witness, f"{stage.name} {course.done + 1} of {stage.epochs}", len(stage.training))
        # Keras would shuffle the batches once more, in a random order that cannot be resumed.
        stage.model.fit(stage.training, validation_data=stage.validation, callbacks=[watch], shuffle=False, verbose=0)
        return Epoch(**watch.figures)

    def _take(self, now: Epoch) -> None:
        """Adds an epoch to the course."""
        course = self.course
        course.epochs.append(now)
        course.done += 1
        course.weights, course.optimizer = _get(self.network.variables), _get(self.stage.model.optimizer.variables)
        chooses = self.recipe.validation > 0
        if not course.kept or not chooses or now.val_loss <= course.epochs[course.best].val_loss:
            course.best, course.kept = len(course.epochs) - 1, course.weights
        self.witness.say(
            f"{self.stage.name.capitalize()} {course.done}: loss {now.loss:.4g}, accuracy {now.accuracy:.4f}; "
            f"validation {now.watched}"
        )

    def _has_waited(self) -> bool:
        """Whether this stage had no better epoch for as long as the recipe's patience."""
        waited = len(self.course.epochs) - max(self.course.best + 1, self.before)
        if not 0 < self.recipe.patience <= waited:
            return False
        self.witness.say(f"Stopping early: no improvement for {waited} epochs.")
        return True

    def _halve(self) -> None:
        course = self.course
        if course.batch == 1:
            raise DataError("Memory does not suffice to train with a single image. Lower size, or cut earlier.")
        course.batch //= 2
        self.witness.say(
            f"Not enough memory for {self.stage.training.batch} images in a step: it continues with {course.batch}."
        )
        self._begin()


def _optimizer(recipe: Recipe, stage: Stage, steps: int) -> Any:
    schedules = keras.optimizers.schedules
    rate = schedules.CosineDecay(stage.rate, stage.epochs * steps) if stage.schedule == "cosine" else stage.rate
    return keras.optimizers.Adam(rate) if recipe.optimizer == "adam" else keras.optimizers.SGD(rate, recipe.momentum)


def _loss(units: int) -> Any:
    if units > 2:
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    return keras.losses.BinaryCrossentropy(from_logits=True)


def _accuracy(units: int) -> Any:
    if units == 1:
        return keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)
    return keras.metrics.CategoricalAccuracy("accuracy")


def _lacks_memory(error: Exception) -> bool:
    """Whether the error is a lack of memory; oneDNN's kernels tell so only in their message."""
    return not isinstance(error, tf.errors.AbortedError) or "could not create a memory object" in str(error)


def _get(variables: Sequence[Any]) -> Values:
    return [variable.numpy() for variable in variables]


def _put(variables: Sequence[Any], values: Values) -> None:
    """Assigns the values to the variables; without values they stay unchanged."""
    if values:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


class _Watch(keras.callbacks.Callback):  # type: ignore[misc] # Keras ships no types
    """Reports each step, stops at the first loss that is not a number, and keeps the epoch's figures."""

    def __init__(self, witness: Witness, name: str, steps: int) -> None:
        super().__init__()
        self.witness, self.name, self.steps = witness, name, steps
        self.figures: dict[str, float] = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not np.isfinite(logs["loss"]):
            raise DataError(f"Training diverged in {self.name}: the loss is not a number. Lower --rate.")
        self.witness.progress(self.name, batch + 1, self.steps)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.figures = {name: float(value) for name, value in logs.items()}
