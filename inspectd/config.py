"""The schema of config.yaml, and how it is read. Nothing else: no folder is touched and no model loaded here.

Every mistake is one sentence that names the key, the line and what is allowed. Relative paths are relative to the file.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

IMAGE_PATTERNS = ["*.png", "*.jpg", "*.jpeg", "*.bmp", "*.tif", "*.tiff", "*.webp"]


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Watch(Section):
    """One watched folder with its model: one camera, line or product."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    path: Path
    model: Path
    include: list[str] = IMAGE_PATTERNS
    ignore: list[str] = []
    recursive: bool = True
    follow_links: bool = False
    settle: Annotated[float, Field(gt=0, le=3600)] = 2.0
    rescan: Annotated[float, Field(ge=1, le=86400)] = 60.0
    backend: Literal["auto", "inotify", "polling"] = "auto"
    after: Literal["keep", "move", "delete"] = "keep"
    move_to: str = "archive/{watch}/{verdict}/{date}"
    fields: re.Pattern[str] | None = None


class Worker(Section):
    device: Annotated[str, Field(pattern=r"^(auto|cpu|gpu|gpu:\d+)$")] = "auto"
    batch: Annotated[int, Field(ge=1, le=1024)] = 16
    threads: Annotated[int, Field(ge=1, le=256)] | None = None  # None: one per core
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


class Overlay(Section):
    write: Literal["all", "not_ok", "none"] = "all"
    format: Literal["jpeg", "png"] = "jpeg"
    colormap: Literal["jet", "turbo", "inferno", "viridis"] = "jet"
    scale: Literal["fixed", "image"] = "fixed"
    caption: bool = True


class Limits(Section):
    pixels: Annotated[int, Field(ge=1)] = 100_000_000
    bytes: Annotated[int, Field(ge=1)] = 512 * 1024 * 1024
    stalled: Annotated[float, Field(gt=0)] = 600.0


class Config(Section):
    """A whole config.yaml. After `load`, every path is absolute."""

    database: str
    output: Path
    watch: Annotated[list[Watch], Field(min_length=1)]
    worker: Worker = Worker()
    overlay: Overlay = Overlay()
    sidecar: bool = False
    limits: Limits = Limits()
