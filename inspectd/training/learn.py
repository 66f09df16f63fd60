"""Learning: a network fitted to batches, epoch by epoch, the best one kept. Files are the business of `train`.

A training has one stage or two: the head alone, on features that the backbone gave once; then the network itself.
Every epoch ends in a `Course` from which the next one begins, whether it was just made or read from a disk.
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
    """Who watches a training."""

    def say(self, sentence: str) -> None:
        """Something a user should know."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far a stage (reading, an epoch, measuring) has come."""


@dataclass(frozen=True)
class Stage:
    """A part of a training.

    Attributes:
        name: What its epochs are called.
        model: Shares its layers with the network, and ends in logits.
        epochs: How many at most.
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
    """Takes a training through its stages and leaves the network with the weights of the epoch that is kept.

    That is the best; or the last, where the recipe has no validation images to choose one by. A batch for which there
    is no memory is halved and the epoch begun again.

    Args:
        stages: Each is made when its turn comes, from the network as the one before left it.
        course: Where to begin; it goes along.
        save: Is called after each epoch.

    Raises:
        DataError: learning diverged, or not even one image fits into memory.
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
    """A stage on its way."""

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
        """Sets the model up for the course: its state, and a schedule for its size of batch."""
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
        # Keras would shuffle the batches once more, by chance that nobody could resume.
        stage.model.fit(stage.training, validation_data=stage.validation, callbacks=[watch], shuffle=False, verbose=0)
        return Epoch(**watch.figures)

    def _take(self, now: Epoch) -> None:
        """Makes an epoch part of the course."""
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
        """Whether the recipe's patience with this stage is at its end."""
        waited = len(self.course.epochs) - max(self.course.best + 1, self.before)
        if not 0 < self.recipe.patience <= waited:
            return False
        self.witness.say(f"No better for {waited} epochs: enough of this.")
        return True

    def _halve(self) -> None:
        course = self.course
        if course.batch == 1:
            raise DataError("There is not enough memory to learn from a single image. Lower size, or cut earlier.")
        course.batch //= 2
        self.witness.say(
            f"Not enough memory for {self.stage.training.batch} images in a step: {course.batch} from here on."
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
    """Whether it is that; oneDNN's kernels say so in words alone."""
    return not isinstance(error, tf.errors.AbortedError) or "could not create a memory object" in str(error)


def _get(variables: Sequence[Any]) -> Values:
    return [variable.numpy() for variable in variables]


def _put(variables: Sequence[Any], values: Values) -> None:
    """Into as many variables as there are values; none: they stay as they are."""
    if values:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


class _Watch(keras.callbacks.Callback):  # type: ignore[misc] # Keras ships no types
    """Reports each step, stops at the first loss that is no number, and keeps the epoch's figures."""

    def __init__(self, witness: Witness, name: str, steps: int) -> None:
        super().__init__()
        self.witness, self.name, self.steps = witness, name, steps
        self.figures: dict[str, float] = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not np.isfinite(logs["loss"]):
            raise DataError(f"Learning diverged in {self.name}: the loss is no number any more. Lower --rate.")
        self.witness.progress(self.name, batch + 1, self.steps)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.figures = {name: float(value) for name, value in logs.items()}
