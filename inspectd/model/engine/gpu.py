"""An accelerator as an engine sees it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """Its name, and whether it computes in bfloat16 faster than in float32."""

    name: str
    bfloat16: bool
