"""Bundles: immutable folders in which models are deployed; the content of a bundle is its identity.

A bundle holds the network (`model.keras`), everything that decides how it is used (`bundle.yaml`: classes, pixel
preparation, thresholds, heat scale) and a manifest with a sha256 for each file. Loading verifies every byte. This
module never changes an existing bundle, never unpickles anything and never imports TensorFlow.

The path of a model is that of a bundle, or of a folder of versions (`versions.py`) whose link `current` leads to one.
"""

import hashlib
import json
import os
import shlex
import shutil
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from inspectd.durable import fsync
from inspectd.errors import BundleError
from inspectd.mistakes import first_mistake
from inspectd.model.spec import Spec

FORMAT = 1
SPEC = "bundle.yaml"
NETWORK = "model.keras"
INT8 = "features.int8.tflite"  # the network up to its target layer
MANIFEST = "manifest.json"
CURRENT = "current"  # the link in a folder of versions


_SPEC = TypeAdapter(Spec)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. `identity` is the sha256 of its manifest, 64 hexadecimal digits."""

    path: Path
    spec: Spec
    identity: str

    @property
    def files(self) -> frozenset[str]:
        """The paths of all its files except the manifest."""
        return frozenset(_read_manifest(self.path / MANIFEST))

    @property
    def short(self) -> str:
        """The first eight digits of the identity, as file names carry it."""
        return self.identity[:8]

    @property
    def title(self) -> str:
        """The name and the short identity, as people and the view `verdicts` write them."""
        return f"{self.spec.name}@{self.short}"

    def as_dict(self) -> dict[str, Any]:
        """JSON for programs: path, identity, files with their sizes in bytes, and all of `bundle.yaml`."""
        sizes = {name: (self.path / name).stat().st_size for name in sorted(self.files)}
        where = {"path": str(self.path), "identity": self.identity, "files": sizes}
        return {**where, **_SPEC.dump_python(self.spec, mode="json")}


def is_bundle(path: Path) -> bool:
    """Whether this folder is a bundle, complete or not, and not a folder of versions."""
    return (path / MANIFEST).is_file()


def resolve(path: Path) -> Path:
    """The bundle that a model's path leads to now: the path itself, or the target of `current`; links are resolved.

    The bundle need not exist: loading it raises the error.
    """
    leads_on = not is_bundle(path) and os.path.lexists(path / CURRENT)
    return Path(os.path.realpath(path / CURRENT if leads_on else path))


def load_bundle(path: Path) -> Bundle:
    """Reads and verifies a bundle, or the current bundle of a folder of versions.

    Raises:
        BundleError: a file is missing, added or changed, or `bundle.yaml` is not valid.
    """
    return _read(resolve(path), verify=True)


def read_bundle(path: Path) -> Bundle:
    """Reads a bundle without verifying its bytes: for lists, never for judging. Raises as `load_bundle`."""
    return _read(resolve(path), verify=False)


def write_bundle(
    path: Path,
    spec: Spec,
    files: Mapping[str, Path | bytes],
    base: Bundle | None = None,
    without: Collection[str] = (),
) -> Bundle:
    """Writes a whole bundle or none: first into a hidden folder beside `path`, then to disk, then renamed.

    Args:
        files: The other files by their paths in the bundle (`model.keras`, `golden/a.png`).
        base: The bundle from which this one is derived; its files that are not among `files` are hard-linked.
        without: Files of `base` that do not apply to this one.

    Raises:
        BundleError: if `path` exists (a bundle is never overwritten) or cannot be written.
    """
    if path.exists():
        raise BundleError(f"{path} exists already and a bundle is never overwritten. Choose another name or remove it.")
    partial = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        partial.mkdir(parents=True)
        written = {**files, SPEC: _spec_text(spec)}
        kept = {} if base is None else {name: base.path / name for name in base.files - written.keys() - set(without)}
        for name in [*written, *kept]:
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
        for name, content in written.items():
            _write(partial / name, content)
        for name, original in kept.items():
            _link(original, partial / name)
        digests = {name: _sha256(partial / name) for name in sorted([*written, *kept])}
        _write(partial / MANIFEST, json.dumps({"format": FORMAT, "files": digests}, indent=1).encode() + b"\n")
        for folder in sorted({(partial / name).parent for name in digests}):
            fsync(folder)
        fsync(partial)
        partial.rename(path)
        fsync(path.parent)
    except OSError as error:
        raise BundleError(f"{path} could not be written: {error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Bundle(path, spec, _identity(digests))


def _read(path: Path, *, verify: bool) -> Bundle:
    if not is_bundle(path):
        raise BundleError(f"{path} is not a model bundle: {_lack(path)}")
    files = _read_manifest(path / MANIFEST)
    try:
        if verify:
            _verify(path, files)
        document = (path / SPEC).read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error}. Check its permissions and its disk.") from error
    spec = _read_spec(path / SPEC, document)
    if spec.network == "keras" and NETWORK not in files:
        raise BundleError(f"{path} has no {NETWORK}, which its `network: keras` needs. Copy the bundle again.")
    return Bundle(path, spec, _identity(files))


def _lack(path: Path) -> str:
    advice = "Point `model` at a folder that `inspectd train` wrote."
    if not path.is_dir():
        return f"there is no such folder. {advice}"
    if any(entry.name.isdecimal() and is_bundle(entry) for entry in path.iterdir()):
        return (
            f"none of its versions is current. Choose one: `inspectd model activate {shlex.quote(str(path))} VERSION`."
        )
    return f"it has no {MANIFEST}. {advice}"


def _read_manifest(path: Path) -> dict[str, str]:
    try:
        manifest = json.loads(path.read_bytes())
        _refuse_newer(path, manifest["format"])
        files = TypeAdapter(dict[str, str]).validate_python(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} is damaged ({type(error).__name__}). Copy the bundle again.") from error
    if SPEC not in files:
        raise BundleError(f"{path} does not list {SPEC}. Copy the bundle again.")
    return files


def _verify(path: Path, files: Mapping[str, str]) -> None:
    present = {entry.relative_to(path).as_posix() for entry in path.rglob("*") if not entry.is_dir()} - {MANIFEST}
    if missing := sorted(files.keys() - present):
        raise BundleError(f"{path} lacks {', '.join(missing)}, which its manifest lists. Copy the bundle again.")
    if added := sorted(present - files.keys()):
        raise BundleError(f"{path} holds {', '.join(added)}, which its manifest does not list. Remove it.")
    for name, digest in files.items():
        if _sha256(path / name) != digest:
            raise BundleError(
                f"{path / name} is not what was evaluated: its sha256 differs from the manifest's. A bundle is never "
                "edited; copy it again."
            )


def _read_spec(path: Path, document: bytes) -> Spec:
    try:
        values = yaml.safe_load(document)
    except yaml.YAMLError as error:
        raise BundleError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict):
        raise BundleError(f"{path} must hold keys and values.")
    _refuse_newer(path, values.pop("format", None))
    try:
        return _SPEC.validate_python(values)
    except ValidationError as error:
        raise BundleError(f"{path}: {first_mistake(error)}.") from error


def _refuse_newer(path: Path, version: object) -> None:
    if not isinstance(version, int) or version < 1:
        raise BundleError(f"{path}: format: must be a whole number from 1 to {FORMAT}.")
    if version > FORMAT:
        raise BundleError(
            f"{path} has format {version}, newer than this inspectd, which reads up to {FORMAT}. Update inspectd."
        )


def _spec_text(spec: Spec) -> bytes:
    values = {"format": FORMAT, **_SPEC.dump_python(spec, mode="json")}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110).encode()


def _identity(files: Mapping[str, str]) -> str:
    """The sha256 of the manifest's canonical form, so white space in the file does not matter."""
    canonical = json.dumps(files, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _link(original: Path, path: Path) -> None:
    """Links the file under another name, or copies it if the file system cannot link it."""
    try:
        path.hardlink_to(original)
    except OSError:
        _write(path, original)


def _write(path: Path, content: Path | bytes) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        shutil.copyfile(content, path)
    fsync(path)
