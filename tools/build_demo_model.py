"""How the shipped demo model was made, to be repeated: `python tools/build_demo_model.py OUT`.

The synthetic camera's pictures are written as a folder per class and handed to the project's own trainer, as anybody's
pictures would be; then the bundle is measured on the pictures of another camera, and its card says how it did. It takes
a few minutes on two cores. The figures differ a little from one processor to the next, the recipe does not.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from inspectd.dataset.manifest import DATA
from inspectd.evaluation.cases import FINDINGS
from inspectd.evaluation.heat import on_mask
from inspectd.model.bundle import NETWORK, Bundle, load_bundle, write_bundle
from inspectd.model.golden import FOLDER as GOLDEN
from inspectd.model.loading import open_inspector
from inspectd.rehearsal.textures import DEFECTS, SIZE, texture
from inspectd.training.recipe import Recipe
from inspectd.training.train import train

TRAINING_SEED = 111
MEASURING_SEED = 113
PICTURES = 1800  # half of them with a defect; a fifth is kept from learning
RECIPE = Recipe(
    name="demo",
    backbone="compact",
    cut=None,
    width=SIZE,
    height=SIZE,
    weights="none",
    preprocess="scale",
    epochs=14,
    test=0.0,  # another camera's pictures are measured instead
    batch=16,
    rate=2e-3,
    rotations=False,  # the grain runs upright: a picture turned by 90° would be one great defect
    precision="float32",  # the one that every processor has
    seed=TRAINING_SEED,
)
SHIPPED = (NETWORK, DATA, FINDINGS, "curves.png")  # and golden images; the report's pictures would be most of its size
NEAR = 12  # pixels around the defect in which the heat's peak counts as on it; a cell of the heat is 16 wide


@dataclass(frozen=True)
class DemoFigures:
    """How a bundle did on pictures that it has never seen, half of them with a defect."""

    pictures: int
    escapes: int
    overkills: int
    on_defect: int  # of the defects that were found, those with the heat's peak on them

    @property
    def accuracy(self) -> float:
        return 1 - (self.escapes + self.overkills) / self.pictures

    @property
    def found(self) -> int:
        return self.pictures // 2 - self.escapes


def measure(bundle: Bundle, seed: int, pictures: int, batch: int = 16) -> DemoFigures:
    """Inspect the first `pictures` (an even number) of camera `seed`, every second one with a defect."""
    inspector = open_inspector(bundle, precision="float32")  # as everything in a bundle is measured
    inspector.warm_up(batch)
    escapes = overkills = on_defect = 0
    for start in range(0, pictures, batch):
        samples = [texture(seed, index, defect=index % 2 == 1) for index in range(start, min(start + batch, pictures))]
        rgb = [np.repeat(sample.pixels[:, :, np.newaxis], 3, axis=2) for sample in samples]
        findings = inspector.inspect([inspector.prepare(pixels) for pixels in rgb])
        for sample, finding in zip(samples, findings, strict=True):
            rejected = finding.verdict == "defect"
            overkills += rejected and sample.kind is None
            escapes += not rejected and sample.kind is not None
            if rejected and sample.kind is not None:
                on_defect += on_mask(finding.heat, finding.scale, sample.mask > 0).distance <= NEAR
    return DemoFigures(pictures, escapes, overkills, on_defect)


def write_pictures(folder: Path, seed: int, pictures: int) -> None:
    """The first `pictures` of camera `seed` as PNG files, those with a defect in `defect/`, the others in `ok/`."""
    for name in ("ok", "defect"):
        (folder / name).mkdir(parents=True)
    for index in range(pictures):
        name = ("ok", "defect")[index % 2]
        cv2.imwrite(str(folder / name / f"{index:05}.png"), texture(seed, index, defect=name == "defect").pixels)


def build(out: Path) -> DemoFigures:
    """Make the pictures, train, measure, and write the bundle `out`, which must not exist yet."""
    with tempfile.TemporaryDirectory(prefix="inspectd-") as name:
        pictures = Path(name) / "synthetic-camera"
        write_pictures(pictures, TRAINING_SEED, PICTURES)
        draft = train(pictures, Path(name) / "demo", RECIPE, _Printer())
        measured = measure(draft, MEASURING_SEED, 1000)
        card = _CARD.format(
            kinds=", ".join(DEFECTS),
            measured=measured,
            near=NEAR,
            seed=TRAINING_SEED,
            learned=(draft.path / "card.md").read_text().rstrip(),
        )
        kept = {name: draft.path / name for name in draft.files if name in SHIPPED or name.startswith(f"{GOLDEN}/")}
        write_bundle(out, draft.spec, {**kept, "card.md": card.encode()})
    return measured


_CARD = """\
{learned}

## What it is for

`inspectd demo` and the tests. It tells good from defective surfaces of the synthetic camera
(`inspectd/rehearsal/textures.py`): grey, 256×256 pixels, upright grain, and as defects {kinds}.

## DemoFigures on another camera

{measured.pictures} pictures of a seed that neither learning nor the threshold has seen, half of them with a defect:
accuracy {measured.accuracy:.4f}, escapes {measured.escapes}, overkills {measured.overkills}. The heat's peak was on the
defect (within {near} pixels) for {measured.on_defect} of the {measured.found} defects that were found.

## Limits

It knows nothing but these surfaces. Real parts, another direction of the grain, colour, another size or a defect of
another kind are outside of what it was shown, and its verdicts on them mean nothing. Of its own defects it misses
first the cracks that happen to run along the grain. Train a model of your own with `inspectd train`.

## How it is made again

    python tools/build_demo_model.py OUT

writes the same pictures (seed {seed}), trains with the choices above and measures as above.
"""


class _Printer:
    """A training's witness: its sentences, line by line."""

    def say(self, sentence: str) -> None:
        print(sentence, flush=True)  # noqa: T201

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nothing: the epochs' sentences show well enough how it goes on."""


def main() -> None:
    """The command line: one folder that does not exist yet."""
    parser = argparse.ArgumentParser(prog="python tools/build_demo_model.py", description="Make the demo model again.")
    parser.add_argument("out", type=Path, help="the bundle to write")
    out = parser.parse_args().out
    measured = build(out)
    size = sum(file.stat().st_size for file in out.rglob("*"))
    print(f"Wrote {load_bundle(out).title}, {size / 1e6:.2f} MB: {measured}")  # noqa: T201


if __name__ == "__main__":
    main()
