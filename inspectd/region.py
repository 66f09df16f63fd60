"""A region of heat: the one record that the vision room finds, the ledger keeps and people are shown."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """A box in the original image's pixels around one hot part; `peak` is its hottest point, 0.5..1 of the scale."""

    x: int
    y: int
    width: int
    height: int
    peak: float
