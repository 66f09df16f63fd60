"""A synthetic camera's pictures: grey textured surfaces, some with one small defect, in the manner of DAGM 2007.

Every picture is a pure function of (seed, index), so that training, the demo and the tests can each look at surfaces
that the others never saw. A surface is noise with a random spectrum: grain that runs about upright, finer or coarser,
under uneven light. A defect only rearranges what is there or cuts a thin line into it; it must never show in the
brightness, the contrast or a thumbnail of the picture, because then a far simpler thing than a network would find it.
No TensorFlow here.

After Wieler, Hahn and Hamprecht, *Weakly supervised learning for industrial optical inspection* (DAGM 2007).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = 256  # pixels, both ways

Plane = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Texture:
    """One picture with the truth about it."""

    pixels: Pixels  # (SIZE, SIZE), 0..255
    mask: Pixels  # (SIZE, SIZE), 255 on the defect, else 0
    kind: str | None  # a key of `DEFECTS`; None: a good surface


def texture(seed: int, index: int, defect: bool) -> Texture:
    """The picture number `index` of the camera `seed`, about 3 ms of one core.

    With and without `defect` it shows the same surface: the two differ in and close around the mask.
    """
    rng = np.random.default_rng([seed, index])
    grain = _grain(rng)
    light, contrast = _light(rng)
    kind, mask = None, np.zeros((SIZE, SIZE), np.uint8)
    if defect:
        kind = str(rng.choice(list(DEFECTS)))
        grain, mask = DEFECTS[kind](grain, rng)
    pixels = np.clip(np.rint(light + contrast * grain), 0, 255).astype(np.uint8)
    return Texture(pixels, mask, kind)


def _grain(rng: np.random.Generator) -> Plane:
    """A stationary random surface with mean 0 and standard deviation 1: random phases under a chosen spectrum."""
    frequency, angle = _frequencies()
    period = rng.uniform(5.5, 9.5)  # pixels from ridge to ridge
    direction = rng.uniform(-0.35, 0.35)  # across the grain, in radians: no part lies quite straight
    focus = rng.uniform(1.5, 4.0)  # 0: grain in all directions
    ridges = np.exp(-(np.log(frequency * period) ** 2) / (2 * 0.45**2) + focus * (np.cos(2 * (angle - direction)) - 1))
    spectrum = ridges + rng.uniform(0.02, 0.08)  # a floor under all frequencies: the sensor's own noise
    phases = rng.standard_normal((2, *frequency.shape), np.float32)
    surface = np.fft.irfft2(spectrum * (phases[0] + 1j * phases[1]), s=(SIZE, SIZE))
    return np.asarray((surface - surface.mean()) / surface.std(), np.float32)


@lru_cache(maxsize=1)
def _frequencies() -> tuple[Plane, Plane]:
    """Cycles per pixel and direction (radians) of every coefficient that `np.fft.irfft2` takes."""
    down, across = np.meshgrid(np.fft.fftfreq(SIZE), np.fft.rfftfreq(SIZE), indexing="ij")
    frequency = np.maximum(np.hypot(down, across), 0.25 / SIZE)  # the constant term has no logarithm
    return frequency.astype(np.float32), np.arctan2(down, across).astype(np.float32)


def _light(rng: np.random.Generator) -> tuple[Plane, float]:
    """Uneven light as grey values (SIZE, SIZE), and how many of them one unit of grain makes."""
    across = np.linspace(-0.5, 0.5, SIZE, dtype=np.float32)
    down = across[:, np.newaxis]
    slope, direction, falloff = rng.uniform(0, 50), rng.uniform(0, 2 * np.pi), rng.uniform(0, 30)
    light = slope * (np.cos(direction) * across + np.sin(direction) * down) - falloff * (across**2 + down**2)
    return np.asarray(light + rng.uniform(100, 155), np.float32), rng.uniform(14, 24)


def _crack(grain: Plane, rng: np.random.Generator) -> tuple[Plane, Pixels]:
    """A jagged dark line, more across the grain than along it: 5 to 8 pieces of about 10 pixels."""
    pieces = rng.integers(5, 9)
    headings = rng.uniform(-0.6, 0.6) + rng.uniform(-0.7, 0.7, pieces)  # at most 75° off
    steps = rng.uniform(8, 13, (pieces, 1)) * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    return _engrave(grain, np.cumsum(steps, axis=0), -rng.uniform(3.4, 4.2), rng)


def _scratch(grain: Plane, rng: np.random.Generator) -> tuple[Plane, Pixels]:
    """A long shallow arc across the grain, brighter or darker than the surface."""
    length, bend = rng.uniform(50, 90), rng.uniform(-0.15, 0.15)
    along = np.linspace(-0.5, 0.5, 24)
    arc = length * np.stack([along, bend * (1 - 4 * along**2)], axis=1)
    turn = rng.uniform(-0.7, 0.7)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return _engrave(grain, arc @ rotation, rng.choice([-1, 1]) * rng.uniform(2.8, 3.6), rng)


def _engrave(grain: Plane, line: NDArray[np.float64], depth: float, rng: np.random.Generator) -> tuple[Plane, Pixels]:
    """Cut a thin line (points (n, 2), any origin) at a random place; its rims give back the light that it takes.

    `depth` is in standard deviations of the grain, negative for a dark line.
    """
    low, high = line.min(axis=0), line.max(axis=0)
    line = line - low + rng.uniform(16, SIZE - 16 - (high - low))
    drawn = np.zeros((SIZE, SIZE), np.uint8)
    cv2.polylines(drawn, [np.rint(line * 16).astype(np.int32)], False, 255, 1, cv2.LINE_AA, shift=4)
    core = drawn.astype(np.float32) / 255
    groove = cv2.GaussianBlur(core, (0, 0), 0.9)
    profile = groove - cv2.GaussianBlur(core, (0, 0), 3.0)
    mask = np.where(groove > 0.1 * groove.max(), 255, 0).astype(np.uint8)
    return grain + np.float32(depth / profile.max()) * profile, mask


def _smear(grain: Plane, rng: np.random.Generator) -> tuple[Plane, Pixels]:
    """An oval spot where the grain is wiped across its own direction."""
    reach, rise = 10, round(rng.uniform(-6, 6))
    wipe = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    cv2.line(wipe, (0, reach + rise), (2 * reach, reach - rise), 1.0)
    wiped = cv2.filter2D(grain, -1, wipe)
    return _patch(grain, wiped / np.float32(wiped.std()), rng)


def _twist(grain: Plane, rng: np.random.Generator) -> tuple[Plane, Pixels]:
    """An oval spot where the grain runs the other way."""
    return _patch(grain, np.rot90(grain), rng)


def _patch(grain: Plane, other: Plane, rng: np.random.Generator) -> tuple[Plane, Pixels]:
    """Put an oval of another surface into this one, with a soft edge."""
    oval = np.zeros((SIZE, SIZE), np.uint8)
    center, axes, angle = rng.uniform(36, SIZE - 36, 2), rng.uniform(26, 40, 2), rng.uniform(0, 180)
    cv2.ellipse(oval, (center.tolist(), axes.tolist(), angle), 255, -1)
    share = cv2.GaussianBlur(oval.astype(np.float32) / 255, (0, 0), 2)
    return grain + share * (other - grain), oval


Damage = Callable[[Plane, np.random.Generator], tuple[Plane, Pixels]]
DEFECTS: dict[str, Damage] = {"crack": _crack, "scratch": _scratch, "smear": _smear, "twist": _twist}
