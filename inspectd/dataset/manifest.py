"""The list of the images that a model was trained with: paths, content, classes and splits.

The bundle keeps it as `data.csv`, so that years later anyone can tell which images a model has seen.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from inspectd.errors import BundleError
from inspectd.model.spec import ImageClass
from inspectd.vision.depth import Depths

DATA = "data.csv"

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

_COLUMNS = ["path", "sha256", "class", "split"]


@dataclass(frozen=True)
class Sample:
    """One image.

    Attributes:
        path: Relative to the data's folder, with `/`, as text (see `inspectd.paths`).
        sha256: The SHA-256 of the file's bytes, 64 hexadecimal digits.
        target: The index of its class.
        split: `train`: for training; `validation`: chooses epoch and threshold; `test`: only measured.
    """

    path: str
    sha256: str
    target: int
    split: Split


@dataclass(frozen=True)
class Manifest:
    """Images of known class, split.

    Attributes:
        classes: The classes in the order of the network's outputs.
        samples: The samples by class, then by path.
        skipped: The path of each file that was left out, and the reason.
        remarks: Sentences that a user should read about the data.
        depths: The used bits of 16-bit files, if they were read.
    """

    classes: tuple[ImageClass, ...]
    samples: tuple[Sample, ...]
    skipped: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    depths: Depths = field(default_factory=Depths)

    def of(self, split: Split) -> tuple[Sample, ...]:
        """The samples of one split."""
        return tuple(sample for sample in self.samples if sample.split == split)

    def counts(self, split: Split) -> dict[str, int]:
        """The number of images of each class in a split."""
        targets = [sample.target for sample in self.of(split)]
        return {each.name: targets.count(index) for index, each in enumerate(self.classes)}

    def as_csv(self) -> bytes:
        """The samples as the bundle's `data.csv`."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for sample in self.samples:
            writer.writerow([sample.path, sample.sha256, self.classes[sample.target].name, sample.split])
        return text.getvalue().encode()


def read_manifest(content: bytes, classes: Sequence[ImageClass]) -> Manifest:
    """Reads the text of `Manifest.as_csv`, for the bundle's classes.

    Raises:
        BundleError: it is not such a table.
    """
    index = {each.name: number for number, each in enumerate(classes)}
    try:
        header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
        if header != _COLUMNS:
            raise ValueError(f"its columns are {', '.join(header)}")
        samples = [Sample(path, sha256, index[name], _split(split)) for path, sha256, name, split in rows]
    except (ValueError, KeyError) as error:
        raise BundleError(f"{DATA} is damaged ({error}). Copy the bundle again.") from error
    return Manifest(tuple(classes), tuple(samples))


def _split(text: str) -> Split:
    found = next((split for split in SPLITS if split == text), None)
    if found is None:
        raise ValueError(f"{text} is not a split")
    return found
