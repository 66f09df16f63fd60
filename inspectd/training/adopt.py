"""Imports a network that was made elsewhere as a bundle. The user states what the file does not tell.

Until the last step all files are in a temporary folder, so a failure leaves nothing half-written.
"""

import hashlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from inspectd.clock import utc_now
from inspectd.dataset.folder import find_images, open_folder
from inspectd.dataset.pictures import Picture, Unreadable, read_pictures
from inspectd.errors import DataError
from inspectd.evaluation.cases import FINDINGS, cases_text
from inspectd.mistakes import first_mistake
from inspectd.model.backbones import SCALES
from inspectd.model.bundle import NETWORK, Bundle, write_bundle
from inspectd.model.engine.backend import SOFTWARE, keras
from inspectd.model.foreign.front import Front
from inspectd.model.foreign.network import Architecture, activation_of, read_network, turn_around
from inspectd.model.inspector import Inspector
from inspectd.model.loading import load_inspector
from inspectd.model.networks import target_layer
from inspectd.model.spec import (
    Backbone,
    ImageClass,
    Preparation,
    Preprocess,
    Spec,
    Thresholds,
    Tiles,
)
from inspectd.model.surgery import Anatomy, examine, inner_layers
from inspectd.model.versions import name_of, publish, refuse_unfit
from inspectd.training.learn import Witness
from inspectd.training.measuring import measure, see, unmeasured
from inspectd.training.preparing import alternatives, as_measured, as_seen, contradiction
from inspectd.training.report import card
from inspectd.vision.depth import FULL, Depths

UNMEASURED = (
    "It is not measured: the threshold is that of the network's own decision, the score is not "
    "calibrated, the heat's colours have no scale, and no golden images prove it on another device. Import it with "
    "--golden DIR."
)


@dataclass(frozen=True)
class Statement:
    """The user's statements about a network, which its file does not make.

    Attributes:
        classes: The names of the classes in the order of the network's outputs. A single output is the probability of
            the second.
        ok: The names of the OK classes.
        architecture: The network of a file that holds only weights.
        size: Width and height of the network's input in pixels; None: those of the network.
        channels: 1 or 3; None: those of the network.
        preprocess: How pixels are scaled; None: found from network and images (`preparing`).
        backbone: The backbone whose pixel scale is used.
        bits: The bits of values in 16-bit files.
        layer: Grad-CAM's target layer; None: the last layer with a map.
        tiles: The overlap in pixels of tiles; None: the whole image is resized.
    """

    classes: tuple[str, ...]
    ok: tuple[str, ...] = ("ok",)
    architecture: Architecture | None = None
    size: tuple[int, int] | None = None
    channels: int | None = None
    preprocess: Preprocess | None = None
    backbone: Backbone | None = None
    bits: int = FULL
    layer: str | None = None
    tiles: int | None = None


def adopt(file: Path, out: Path, said: Statement, images: Path | None, witness: Witness) -> Bundle:
    """Writes the network in `file` as the next version of the model `out`.

    Args:
        images: A folder of images per class that the network was not trained with: they give threshold, calibration,
            heat scale, metrics and golden images. None: nothing is measured.

    Raises:
        DataError: a statement is wrong, or does not fit the file or the images.
        BundleError: the network cannot be used, or no version can be written.
    """
    refuse_unfit(out)
    with _in_words():
        classes = _classes(said)
    network = read_network(file, said.architecture, said.size)
    if not all(np.isfinite(weights).all() for weights in network.get_weights()):
        raise DataError(f"{file} has weights that are not numbers: its training diverged. Use one of an earlier epoch.")
    with _in_words():
        to = _preparation(said, network)
    anatomy = _examined(file, network, to)
    front = Front(network, to)
    among = _candidates(front, said, to, network, witness)
    with _in_words():
        draft = Spec(
            name=name_of(out),
            classes=classes,
            activation=activation_of(network, anatomy),
            preparation=among[0],
            thresholds=Thresholds(0.0),
            heat_scale=unmeasured(classes),
            layer=said.layer or target_layer(network, anatomy),
            tiles=None if said.tiles is None else Tiles(said.tiles),
            training=_origin(file, said, network),
        )
    if anatomy.units == 1 and len(classes) == 2 and classes[1].ok:
        turn_around(anatomy)
        witness.say(
            f"The single output is the probability of {classes[1].name}; it was converted to that of {classes[0].name}."
        )
    with tempfile.TemporaryDirectory(prefix="inspectd-") as folder:
        saved = Path(folder) / NETWORK
        network.save(saved)
        opened = _opener(write_bundle(Path(folder) / "draft", draft, {NETWORK: saved}))
        inspector = opened(as_measured(front, among, opened, images, witness) if images else among[0])
        for remark in inspector.remarks:
            witness.say(remark)
        return _publish(out, saved, inspector, images, witness)


def _examined(file: Path, network: Any, to: Preparation) -> Anatomy:
    """Examines the network; weights that the pass creates were not trained."""
    saved = {id(weight) for weight in network.weights}
    anatomy = examine(network, (to.height, to.width, to.channels))
    if new := [layer.name for layer in anatomy.called if any(id(weight) not in saved for weight in layer.weights)]:
        raise DataError(
            f"{file} holds no weights of {new[0]}: the network was saved before it had been built. Train it, or call "
            "it on an image and load its weights, and save it then."
        )
    return anatomy


def _candidates(front: Front, said: Statement, to: Preparation, network: Any, witness: Witness) -> list[Preparation]:
    """The preparations to choose from, the likeliest first: the user's, or all possible ones."""
    among = alternatives(to, network)
    if said.preprocess:
        first, remark = to, contradiction(front, to, among)
        among = [to]
    else:
        first, remark = as_seen(front, among)
    if remark:
        witness.say(remark)
    return [first, *(each for each in among if each != first)]


def _opener(draft: Bundle) -> Callable[[Preparation], Inspector]:
    """Opens the draft's network with any preparation."""
    numbers = itertools.count(1)

    def opened(to: Preparation) -> Inspector:
        path = draft.path.with_name(f"draft-{next(numbers)}")
        return load_inspector(write_bundle(path, replace(draft.spec, preparation=to), {}, draft), "auto", "float32")

    return opened


@contextmanager
def _in_words() -> Iterator[None]:
    """Turns an error in the bundle's description into a sentence."""
    try:
        yield
    except ValidationError as error:
        raise DataError(f"{first_mistake(error)}.") from error


def _publish(out: Path, network: Path, inspector: Inspector, images: Path | None, witness: Witness) -> Bundle:
    spec = inspector.bundle.spec
    files: dict[str, bytes] = {}
    remarks: tuple[str, ...] = (UNMEASURED,)
    if images is not None:
        seen = see(inspector, _usable(images, inspector, witness), "validation")
        _refuse_missing(images, spec.classes, [each.target for each in seen.cases])
        found = measure(inspector, images, seen)
        spec, remarks = found.spec, found.remarks
        files = {FINDINGS: cases_text(seen.cases, spec.classes), **found.golden}
    for remark in remarks:
        witness.say(remark)
    return publish(out, spec, {NETWORK: network, "card.md": card(spec, remarks), **files})


def _usable(root: Path, inspector: Inspector, witness: Witness) -> Iterator[Picture]:
    """The complete images of a folder per class, prepared; reports the others."""
    folder = open_folder(root)
    files = find_images(folder, inspector.bundle.spec.classes)
    for remark in folder.remarks:
        witness.say(remark)
    bits = inspector.bundle.spec.preparation.bits
    used: dict[str, int] = {}
    for done, each in enumerate(read_pictures(root, files, inspector.prepare, bits=bits), 1):
        if isinstance(each, Unreadable):
            witness.say(f"Skipped {each}")
        elif each.doubt:
            witness.say(f"Skipped {each.path}: The file {each.doubt}")
        else:
            if each.used is not None:
                used[each.path] = each.used
            yield each
        witness.progress("measuring", done, len(files))
    for remark in Depths(used).remarks(bits):
        witness.say(remark)


def _refuse_missing(root: Path, classes: Sequence[ImageClass], targets: Sequence[int]) -> None:
    """Refuses a folder without images of a class: good images and each kind of defect give the heat scale."""
    missing = [each.name for index, each in enumerate(classes) if not each.ok and index not in targets]
    if not any(classes[target].ok for target in targets):
        missing.append(next(each.name for each in classes if each.ok))
    if missing:
        raise DataError(
            f"--golden {root} has no usable images of {', '.join(missing)}. Add some that the network was not trained "
            "with, or leave out --golden: then nothing is measured."
        )


def _classes(said: Statement) -> tuple[ImageClass, ...]:
    names = said.classes
    if len(names) < 2 or len(set(names)) < len(names) or not all(names):
        raise DataError(
            f"--classes {','.join(names)}: name at least two classes, each once, in the order of the network's outputs."
        )
    if unknown := [name for name in said.ok if name not in names]:
        raise DataError(f"--ok {unknown[0]}: it is not among --classes {','.join(names)}.")
    if not said.ok or all(name in said.ok for name in names):
        raise DataError(f"--classes {','.join(names)} needs an OK class, named by --ok, and a class of defects.")
    return tuple(ImageClass(name=name, ok=name in said.ok) for name in names)


def _preparation(said: Statement, network: Any) -> Preparation:
    """The preparation for the network's input; a fixed size and number of channels come from the network."""
    if said.preprocess == "backbone" and said.backbone is None:
        raise DataError("--preprocess backbone: name the network that the pixels are prepared for with --backbone.")
    height, width, channels = _input_shape(network)
    if said.size:
        width, height = said.size
    if not (width and height):
        raise DataError("The network takes images of any size. Give the size of its training with --size.")
    channels = said.channels or channels or 3
    if channels not in (1, 3):
        raise DataError(f"The network takes images of {channels} channels; only grey (1) and RGB (3) can be prepared.")
    own = said.backbone is not None and SCALES.get(said.backbone) == "own"
    return Preparation(
        width=width,
        height=height,
        channels=1 if channels == 1 else 3,
        preprocess=said.preprocess or ("none" if own else "scale"),
        backbone=said.backbone,
        bits=said.bits,
    )


def _input_shape(network: Any) -> tuple[int | None, ...]:
    """Height, width and channels of the input; if the network has none, those of the first nested network."""
    nested = [each for each in inner_layers(network) if isinstance(each, keras.Model)]
    found: tuple[int | None, ...] = (None,) * 3
    for each in (network, *nested):
        shape = getattr(each, "input_shape", None) or (None,) * 4
        if not isinstance(shape, tuple) or len(shape) != 4:
            if each is network:
                raise DataError(f"The network takes {shape}, not one image (n, height, width, channels).")
            continue
        if each is network or shape[3] in (1, 3):  # otherwise its input is not the image
            found = tuple(known or more for known, more in zip(found, shape[1:], strict=True))
    return found


def _origin(file: Path, said: Statement, network: Any) -> dict[str, Any]:
    """The bundle's record of the network's origin."""
    return {
        "imported_from": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "architecture": said.architecture or "as in the file",
        "parameters": network.count_params(),
        "imported_at": utc_now(),
        "software": SOFTWARE,
    }
