"""Reads files that hold a network: their kind, by content and not by name, and the network's description.

This module builds and runs nothing. Keras writes two kinds: HDF5 (`.h5`, `.hdf5`) and a zip (`.keras`). Both hold the
network as JSON, and which Keras wrote it.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]

from inspectd.errors import BundleError, DataError

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"  # in a `.keras` file
MOST_TEXT = 100_000_000  # bytes of a description; large networks have some millions
DAMAGED = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, EOFError)  # what parsers raise
NEITHER = "is neither a `.keras` nor an `.h5` file. Save the model with `model.save('model.keras')`."


@dataclass(frozen=True)
class ModelFile:
    """A file that Keras saved.

    Attributes:
        path: Its path.
        suffix: The ending that Keras writes: `.h5` or `.keras`.
        entry: The network: `class_name` and `config`; None if the file holds weights only.
        generation: 1, 2 or 3: the major version of the Keras that wrote it.
    """

    path: Path
    suffix: str
    entry: dict[str, Any] | None
    generation: int

    @contextmanager
    def weights(self) -> Iterator[Any]:
        """The HDF5 file with the weights, open for reading."""
        with _reading(self.path):
            if self.suffix == ".h5":
                with h5py.File(self.path) as file:
                    yield file
            else:
                with zipfile.ZipFile(self.path) as archive, h5py.File(io.BytesIO(archive.read(WEIGHTS))) as file:
                    yield file


def look_at(path: Path) -> ModelFile:
    """Reads a file.

    Raises:
        DataError: the file is damaged, or Keras did not save it as one file.
    """
    if path.is_dir():
        raise DataError(_folder(path))
    if not path.is_file():
        raise DataError(f"{path}: this file does not exist. Give a `.keras` or `.h5` file.")
    if path.name == "saved_model.pb":
        raise DataError(_folder(path.parent))
    with _reading(path):
        if h5py.is_hdf5(path):
            with h5py.File(path) as file:
                return _of_hdf5(path, file)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if CONFIG in archive.namelist():
                    return _of_zip(path, archive)
    raise DataError(f"{path} {NEITHER}")


def refuse_code(file: ModelFile) -> None:
    """Refuses a file that holds Python code, which Lambda layers can.

    Raises:
        BundleError: the file holds such a layer.
    """
    if found := list(_code(file.entry, "")):
        raise BundleError(
            f"{file.path} holds a Lambda layer, which would run code from the file: {', '.join(found)}. Where the "
            "network was made, build it again with Keras's own layers in that place (`Rescaling(1 / 255)` for "
            "`lambda x: x / 255`), take over the weights with `new.set_weights(old.get_weights())`, and save `new`."
        )


def _code(value: Any, layer: str) -> Iterator[str]:
    """The names of all layers that hold code, nested ones too."""
    if isinstance(value, list):
        for each in value:
            yield from _code(each, layer)
    elif isinstance(value, dict):
        config = value.get("config")
        name = str(config["name"]) if isinstance(config, dict) and "name" in config else layer
        if value.get("class_name") in ("Lambda", "__lambda__"):
            yield name
        else:
            for each in value.values():
                yield from _code(each, name)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (*DAMAGED, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}). Copy or save it again.") from error


def _of_hdf5(path: Path, file: Any) -> ModelFile:
    found = file.attrs.get("model_config")
    version = file.attrs.get("keras_version") or file.get("model_weights", file).attrs.get("keras_version")
    return ModelFile(path, ".h5", None if found is None else json.loads(found), _major(version, otherwise=1))


def _of_zip(path: Path, archive: zipfile.ZipFile) -> ModelFile:
    metadata = json.loads(_text(archive, METADATA)) if METADATA in archive.namelist() else {}
    entry = json.loads(_text(archive, CONFIG))
    return ModelFile(path, ".keras", entry, _major(metadata.get("keras_version"), otherwise=3))


def _text(archive: zipfile.ZipFile, name: str) -> bytes:
    """Reads a JSON member of the archive; limits its size, because a few packed kilobytes can fill the memory."""
    if (size := archive.getinfo(name).file_size) > MOST_TEXT:
        raise ValueError(f"its {name} has {size:,} bytes, too many for the description of a network")
    return archive.read(name)


def _major(version: Any, otherwise: int) -> int:
    text = version.decode() if isinstance(version, bytes) else str(version or otherwise)
    number = text.split(".")[0]
    return int(number) if number.isdigit() else otherwise


def _folder(path: Path) -> str:
    """Why this folder cannot be used, and how to get a file from it."""
    if (path / "saved_model.pb").is_file():
        if not (path / "keras_metadata.pb").is_file():
            return (
                f"{path} is a SavedModel for serving: it holds functions without the layers that heat is drawn from. "
                "Save the model where it was made, with `model.save('model.keras')`."
            )
        return (
            f"{path} is a SavedModel of Keras 2. Where TensorFlow and `tf_keras` are installed (`pip install "
            f"tf_keras`), save it as one file: `tf_keras.models.load_model('{path.name}').save('model.h5')`."
        )
    if (path / CONFIG).is_file():
        return f"{path} is an unpacked `.keras` file. Pack what is in it: `cd {path} && zip -0r ../model.keras .`"
    return f"{path} is a folder. Save the model as one file, with `model.save('model.keras')`."
