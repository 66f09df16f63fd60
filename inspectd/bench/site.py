"""What a benchmark works on: image files, the article's network as a bundle, and a site of its own for the daemon."""

import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from inspectd.config import Config, load
from inspectd.domain import MOST_PIXELS
from inspectd.durable import write_all
from inspectd.ledger.database import upgrade
from inspectd.model.bundle import INT8, NETWORK, Bundle, write_bundle
from inspectd.model.loading import load_inspector
from inspectd.model.spec import HeatScale, ImageClass, Preparation, Spec, Thresholds
from inspectd.rehearsal.album import Album
from inspectd.rehearsal.site import RehearsalSite, lay_out
from inspectd.rehearsal.textures import texture
from inspectd.vision.decode import decode

WATCH = "bench"
SEED = 2026
PICTURES = 16
FEW = 4  # of them show the ranges of the article's network


def camera_album() -> Album:
    """Pictures of the demo's camera, four of them to one of 512×512, as grey PNG files."""

    def picture(number: int) -> bytes:
        tiles = [texture(SEED, 4 * number + index, defect=bool(index % 2)).pixels for index in range(4)]
        return cv2.imencode(".png", np.block([tiles[:2], tiles[2:]]))[1].tobytes()

    return Album([(".png", picture(number)) for number in range(PICTURES)])


class Stock:
    """Image files in one folder, which is renamed from run to run: to the ledger, a new path is a new image."""

    def __init__(self, folder: Path, album: Album, count: int) -> None:
        """Write the files, durably, so that nobody waits for their disk later."""
        pictures = [album.picture(number) for number in range(count)]
        self._names = [f"{number:05d}{suffix}" for number, (suffix, _) in enumerate(pictures)]
        self._folder = folder
        self._moves = 0
        write_all((folder / name, data) for name, (_, data) in zip(self._names, pictures, strict=True))

    def __len__(self) -> int:
        return len(self._names)

    def move(self, incoming: Path) -> list[str]:
        """Bring the files into a watch of the same file system, under names never used before; those, in the watch."""
        self._moves += 1
        name = f"run-{self._moves:04d}"
        self._folder = self._folder.rename(incoming / name)
        return [f"{name}/{each}" for each in self._names]


def article_bundle(folder: Path, size: int, album: Album) -> Bundle:
    """The article's VGG16 with random weights, as a bundle in `folder`; its heat is scaled to these pictures.

    Where the device has int8, so has the bundle. Nothing is known of what int8 does to verdicts that mean nothing.
    The weights of the head are positive, and heat counts from four fifths of its maximum on: it is then never empty, a
    spot on the picture, and an overlay costs what that of a defect costs in life.
    """
    from inspectd.model.devices import open_device
    from inspectd.model.engine.backend import keras
    from inspectd.model.int8 import convert
    from inspectd.model.networks import build_network, target_layer
    from inspectd.model.surgery import examine

    keras.utils.set_random_seed(SEED)
    to = Preparation(width=size, height=size)
    network = build_network("vgg16", None, "flatten", 2, to)
    for name in ("hidden", "decision"):
        kernel = network.get_layer(name).kernel
        kernel.assign(keras.ops.abs(kernel))
    draft = Spec(
        name="article",
        classes=(ImageClass("ok", True), ImageClass("defect", False)),
        activation="sigmoid",
        preparation=to,
        thresholds=Thresholds(0.0),
        heat_scale={"gradcam": {"defect": HeatScale(0.0, 1.0)}},
        layer=target_layer(network, examine(network, (to.height, to.width, to.channels))),
    )
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        saved = Path(inner) / NETWORK
        network.save(saved)
        bundle = write_bundle(folder / "draft", draft, {NETWORK: saved})
    inspector = load_inspector(bundle, "auto", "float32")
    prepared = [inspector.prepare(pixels) for pixels in pixels_of(album, FEW)]
    found = inspector.inspect(prepared)
    high = max(finding.maxima["gradcam"] for finding in found)
    spec = replace(draft, heat_scale={"gradcam": {"defect": HeatScale(0.8 * high, high)}})
    parts = {INT8: convert(bundle, prepared, lambda *_: None)} if open_device("auto").int8 else {}
    return write_bundle(folder / "article", spec, parts, base=bundle)


def pixels_of(album: Album, count: int) -> list[np.ndarray]:
    """The first pictures, decoded: uint8 (H, W, 3)."""
    return [decode(album.picture(number)[1], MOST_PIXELS).pixels for number in range(count)]


def lay_out_bench(root: Path, model: Path, **worker: str | int | None) -> tuple[RehearsalSite, Config]:
    """A site in a new folder, with a ledger; every image gets an overlay."""
    site = lay_out(root, {"name": WATCH, "model": str(model.absolute())}, lambda _: None, {"worker": worker})
    config = load(site.config)
    upgrade(config.database)
    return site, config
