"""Bundles with golden images: of the null network, and what makes them fail."""

import json
from pathlib import Path

from support.site import picture

from inspectd.model.bundle import Bundle, write_bundle
from inspectd.model.golden import INDEX, Sighting, golden_files
from inspectd.model.loading import open_inspector
from inspectd.model.null import STEEPNESS, write_null_bundle


def null_sightings(folder: Path) -> list[Sighting]:
    """Five dark (good) and five bright (defective) pictures, with about the margins that the null network gives."""
    found = []
    for number, level in enumerate((20, 40, 60, 80, 100, 160, 180, 200, 220, 240)):
        path = folder / f"{level}.png"
        path.write_bytes(picture(level, seed=number))
        found.append(Sighting(path, int(level > 128), STEEPNESS * (level / 255 - 0.5)))
    return found


def golden_bundle(folder: Path, name: str = "golden") -> Bundle:
    """A null bundle `folder/name` with golden images."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    draft = write_null_bundle(folder / f"{name}-draft", name)
    files = golden_files(open_inspector(draft), null_sightings(folder / "pictures"), 0.0).files
    return write_bundle(folder / name, draft.spec, dict(files), draft)


def spoilt(bundle: Bundle, path: Path, by: float) -> Bundle:
    """A bundle like another, but its golden logits are off `by` so many times the gap."""
    index = json.loads((bundle.path / INDEX).read_bytes())
    for image in index["images"]:
        image["logits"] = [logit + by * index["gap"] for logit in image["logits"]]
    return write_bundle(path, bundle.spec, {INDEX: json.dumps(index).encode()}, bundle)


def turned(bundle: Bundle, path: Path) -> Bundle:
    """A bundle like another, but its golden heats are those of a single cell, elsewhere."""
    index = json.loads((bundle.path / INDEX).read_bytes())
    for image in index["images"]:
        image["heat"] = {"gradcam": [[1.0] + [0.0] * 15] + [[0.0] * 16] * 15}
    return write_bundle(path, bundle.spec, {INDEX: json.dumps(index).encode()}, bundle)
