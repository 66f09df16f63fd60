"""The synthetic camera as a source of files: its pictures, the broken files among them, and how each file arrives.

It knows the truth about every picture, which only the demo's final count uses. It writes into the watched folder in the
ways of real cameras, copying programs and people, and never waits for the daemon.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from inspectd.rehearsal.acts import Acts
from inspectd.rehearsal.arrivals import Arrival, Drop, in_place, part_renamed, renamed_in, written_slowly
from inspectd.rehearsal.textures import texture

Truth = Literal["OK", "NG", "broken"]
TRUTHS: tuple[Truth, ...] = get_args(Truth)

FIELDS = r"(?P<part>\d+)_(?P<camera>\w+)"  # what a shot's name says
FIRST_PART = 4700
NG_SHARE = 0.4
PER_SECOND = 8.0
STEP = 0.02  # seconds between two looks at what is due


@dataclass(frozen=True)
class Shot:
    """One file of the camera.

    Attributes:
        name: Of the file, in the watched folder; `FIELDS` reads it.
        truth: Good surface, surface with a defect, or a file that is no whole image.
        kind: The defect, `good`, or what is wrong with the file.
        data: The file's content.
        arrival: How the file arrives.
    """

    name: str
    truth: Truth
    kind: str
    data: bytes
    arrival: Arrival


def shots(pictures: int, seed: int) -> list[Shot]:
    """So many pictures of camera `seed`, and early among them one truncated file and one that is no image."""
    rng = np.random.default_rng(seed)
    taken: list[Shot] = []
    for index, defect in enumerate(rng.random(pictures) < NG_SHARE):
        sample = texture(seed, index, bool(defect))
        arrival = ARRIVALS[index % len(ARRIVALS)]
        taken.append(
            Shot(_name(len(taken)), "NG" if defect else "OK", sample.kind or "good", _png(sample.pixels), arrival)
        )
        if index == min(3, pictures - 1):
            cut = _png(texture(seed, pictures, False).pixels)
            taken.append(Shot(_name(len(taken)), "broken", "truncated file", cut[: len(cut) // 2], in_place))
            note = b"The camera's memory card is full.\n"
            taken.append(Shot(_name(len(taken)), "broken", "no image", note, in_place))
    return taken


def run_camera(taken: Sequence[Shot], incoming: Path, aside: Path, stop: threading.Event) -> None:
    """Lets every shot arrive in `incoming`, a few each second, slow ones beside the others; `stop` ends it early.

    Args:
        aside: A folder outside the watch on the same file system, for files that are renamed into the watch.

    Raises:
        OSError: a file could not be written.
    """
    acts, waiting, due = Acts(), deque(taken), time.monotonic()
    while waiting or acts:
        now = time.monotonic()
        if waiting and now >= due:
            shot = waiting.popleft()
            acts.begin(shot.arrival(Drop(incoming, aside, shot.name, shot.data)), now)
            due += 1 / PER_SECOND
        acts.advance(now)
        if stop.wait(STEP):
            break
    acts.close()


ARRIVALS: tuple[Arrival, ...] = (
    *(in_place, part_renamed, renamed_in, in_place, part_renamed, renamed_in),
    written_slowly,
)


def _name(number: int) -> str:
    return f"{FIRST_PART + number}_cam1.png"


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()
