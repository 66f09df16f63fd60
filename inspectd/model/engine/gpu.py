"""The description of a GPU."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """Its name, and whether it computes in bfloat16 faster than in float32."""

    name: str
    bfloat16: bool
