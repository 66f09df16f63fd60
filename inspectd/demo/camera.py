"""The synthetic camera as a source of files: what it takes, what is wrong with it, and how each file arrives.

It knows the truth about every picture and tells it to nobody but the demo's final count. It writes into the watched
folder in all the ways that real cameras, copying programs and people do, and never waits for the daemon.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from inspectd.demo.textures import texture

Truth = Literal["OK", "NG", "broken"]
TRUTHS: tuple[Truth, ...] = get_args(Truth)
Way = Callable[["Shot", Path, Path], None]

FIELDS = r"(?P<part>\d+)_(?P<camera>\w+)"  # what a shot's name says
FIRST_PART = 4700
NG_SHARE = 0.4
PER_SECOND = 8.0
PIECES = 5  # of a slow write
PAUSE = 0.4  # seconds between them
AT_ONCE = 6  # shots being written at the same time


@dataclass(frozen=True)
class Shot:
    """One file of the camera.

    Attributes:
        name: Of the file, in the watched folder; `FIELDS` reads it.
        truth: Good surface, surface with a defect, or a file that is no whole image.
        kind: The defect, `good`, or what is wrong with the file.
        data: The file's content.
        way: How it arrives.
    """

    name: str
    truth: Truth
    kind: str
    data: bytes
    way: Way


def shots(pictures: int, seed: int) -> list[Shot]:
    """So many pictures of camera `seed`, and early among them one truncated file and one that is no image."""
    rng = np.random.default_rng(seed)
    taken: list[Shot] = []
    for index, defect in enumerate(rng.random(pictures) < NG_SHARE):
        sample = texture(seed, index, bool(defect))
        way = WAYS[index % len(WAYS)]
        taken.append(Shot(_name(len(taken)), "NG" if defect else "OK", sample.kind or "good", _png(sample.pixels), way))
        if index == min(3, pictures - 1):
            cut = _png(texture(seed, pictures, False).pixels)
            taken.append(Shot(_name(len(taken)), "broken", "truncated file", cut[: len(cut) // 2], written))
            note = b"The camera's memory card is full.\n"
            taken.append(Shot(_name(len(taken)), "broken", "no image", note, written))
    return taken


def run_camera(taken: Sequence[Shot], incoming: Path, aside: Path, stop: threading.Event) -> None:
    """Let every shot arrive in `incoming`, a few each second, slow ones beside the others; `stop` ends it early.

    Args:
        aside: A folder outside the watch on the same file system, for what arrives by a rename.

    Raises:
        OSError: a file could not be written.
    """
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="camera") as pool:
        arriving = []
        for shot in taken:
            arriving.append(pool.submit(shot.way, shot, incoming, aside))
            if stop.wait(1 / PER_SECOND):
                break
        for each in arriving:
            each.result()


def written(shot: Shot, incoming: Path, _aside: Path) -> None:
    """In place, at once."""
    (incoming / shot.name).write_bytes(shot.data)


def written_slowly(shot: Shot, incoming: Path, _aside: Path) -> None:
    """In place, in pieces with pauses: for a while there is half a file under the final name."""
    size = -(-len(shot.data) // PIECES)
    with (incoming / shot.name).open("wb", buffering=0) as file:
        for start in range(0, len(shot.data), size):
            if start:
                time.sleep(PAUSE)
            file.write(shot.data[start : start + size])


def renamed(shot: Shot, incoming: Path, _aside: Path) -> None:
    """Under a temporary name in the watched folder, then renamed."""
    part = incoming / f"{shot.name}.part"
    part.write_bytes(shot.data)
    part.rename(incoming / shot.name)


def moved_in(shot: Shot, incoming: Path, aside: Path) -> None:
    """Written elsewhere, then renamed into the watched folder."""
    outside = aside / shot.name
    outside.write_bytes(shot.data)
    outside.rename(incoming / shot.name)


WAYS: tuple[Way, ...] = (written, renamed, moved_in, written, renamed, moved_in, written_slowly)


def _name(number: int) -> str:
    return f"{FIRST_PART + number}_cam1.png"


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()
