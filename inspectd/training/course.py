"""The state of a training, from which it continues after an interruption as if there had been none.

The course is saved in a hidden folder beside the model after each epoch, as a whole. The folder is removed when the
model is written.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from inspectd.durable import fsync
from inspectd.errors import DataError
from inspectd.training.recipe import Recipe
from inspectd.training.report import Epoch

Values = list[NDArray[Any]]


@dataclass
class Course:
    """A training's state after an epoch.

    Attributes:
        batch: Images per step; fewer than in the recipe if memory did not suffice.
        stage: The number of the stage, from 0.
        done: The finished epochs of this stage.
        epochs: The figures of all epochs, including earlier stages.
        best: The epoch whose weights are kept, an index into `epochs`.
        weights: All variables of the network.
        kept: The variables after the best epoch.
        optimizer: The optimizer's variables.
    """

    batch: int
    stage: int = 0
    done: int = 0
    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    weights: Values = field(default_factory=list)
    kept: Values = field(default_factory=list)
    optimizer: Values = field(default_factory=list)


class Workplace:
    """The hidden folder beside the model `out`, locked while a training runs and removed at its end."""

    def __init__(self, out: Path, recipe: Recipe, resume: bool) -> None:
        out = out.absolute()
        self.out, self.recipe, self.resumes = out, recipe, resume
        self.folder = out.parent / f".{out.name}.training"
        self.file = self.folder / "course.npz"

    def __enter__(self) -> Self:
        if self.resumes and not self.has_interrupted:
            raise DataError(f"--resume: there is no interrupted training of {self.out}. Start one without --resume.")
        self._made = [place for place in (self.folder, *self.folder.parents) if not place.exists()]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            (self.folder / "writable").touch()
            (self.folder / "writable").unlink()
        except OSError as error:
            raise DataError(
                f"{self.out} cannot be written: {error.filename}: {error.strerror}. Choose another --out."
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise DataError(f"Another training of {self.out} runs. Wait for it, or choose another --out.") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None or not self.has_interrupted:
            shutil.rmtree(self.folder, ignore_errors=True)
            for place in self._made[1:]:
                try:
                    place.rmdir()
                except OSError:
                    break
        os.close(self._lock)

    @property
    def has_interrupted(self) -> bool:
        """Whether the folder holds an interrupted training."""
        return self.file.is_file()

    def save(self, course: Course, data: bytes, precision: str) -> None:
        """Replaces the saved course, and has it on disk.

        Args:
            data: The list of training data for the bundle.

        Raises:
            DataError: it cannot be written.
        """
        figures = {
            "batch": course.batch,
            "stage": course.stage,
            "done": course.done,
            "best": course.best,
            "epochs": [asdict(epoch) for epoch in course.epochs],
        }
        facts = json.dumps({"course": figures, **self._identity(data, precision)})
        arrays = {"facts": np.frombuffer(facts.encode(), np.uint8)}
        for name in ("weights", "optimizer", *(["kept"] if course.kept is not course.weights else [])):
            arrays |= {f"{name}/{index}": values for index, values in enumerate(getattr(course, name))}
        part = self.file.with_suffix(".part")
        self.write(part, lambda path: _save_arrays(path, arrays))
        part.rename(self.file)
        fsync(self.folder)

    def write(self, path: Path, by: Callable[[Path], object]) -> None:
        """Has `by` write a file into the folder, and has it on disk.

        Raises:
            DataError: the disk is full, or fails.
        """
        try:
            by(path)
            fsync(path)
        except OSError as error:
            path.unlink(missing_ok=True)
            go_on = "go on with --resume" if self.has_interrupted else "start again"
            reason = error.strerror or " ".join(str(error).split())
            raise DataError(
                f"{self.folder}: {path.name} cannot be written: {reason}. Make room there and {go_on}."
            ) from error

    def load(self, data: bytes, precision: str) -> Course | None:
        """The course of the interrupted training, if it is to be resumed.

        Raises:
            DataError: it was made of other data or by another recipe, or is damaged.
        """
        if not self.resumes:
            return None
        try:
            with np.load(self.file) as arrays:
                facts = json.loads(arrays["facts"].tobytes())
                figures = facts.pop("course")
                figures["epochs"] = [Epoch(**each) for each in figures["epochs"]]
                values: dict[str, Values] = {"weights": [], "kept": [], "optimizer": []}
                for name in arrays.files[1:]:
                    values[name.partition("/")[0]].append(arrays[name])
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise DataError(f"--resume: {self.file} is damaged ({error}). Start again without --resume.") from error
        self._refuse_another(facts, self._identity(data, precision))
        weights, optimizer = values["weights"], values["optimizer"]
        return Course(**figures, weights=weights, kept=values["kept"] or weights, optimizer=optimizer)

    def _identity(self, data: bytes, precision: str) -> dict[str, Any]:
        choices = json.loads(json.dumps(asdict(self.recipe))) | {"precision": precision}
        return {"recipe": choices, "data": hashlib.sha256(data).hexdigest()}

    def _refuse_another(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        for key, value in now["recipe"].items():
            if (was := before["recipe"].get(key)) != value:
                raise DataError(
                    f"--resume: {key} was {was} when the training was interrupted, and is {value} now. Give the "
                    "earlier value, or start again without --resume."
                )
        if before["data"] != now["data"]:
            raise DataError(
                "--resume: the images or their classes changed since the training began. Start again without --resume."
            )


def _save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type] # of the stubs: a name could be allow_pickle's
