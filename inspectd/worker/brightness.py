"""Checks whether the images of a watch have the bits that its bundle reads.

If a camera has other bits, the network sees nearly black or white pictures, and its verdicts mean nothing. The first
images of a watch show whether they are too dark; any image can show that it is too bright. Only the golden images are
read again, if a doubt depends on them.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from threading import Lock

from inspectd.errors import BundleError
from inspectd.model.bundle import Bundle
from inspectd.model.golden import golden_bits
from inspectd.vision.depth import SURE, depth_of, is_dark, too_bright, too_dark
from inspectd.vision.errors import DecodeError

FIRST = 20  # images of a watch that decide
ENOUGH = 2  # ... if no more are waiting; one alone may have been taken before the light was on


class Brightness:
    """Compares the bits that one bundle expects with the images of its watches since the worker started.

    Args:
        note: Is called once for each remark, with the watch, the bundle's title and a sentence about the images.
    """

    def __init__(self, bundle: Bundle, note: Callable[[str, str, str], None]) -> None:
        self._bundle = bundle
        self._bits = bundle.spec.preparation.bits
        self._note = note
        self._first: dict[str, list[int]] = {}
        self._noted: set[tuple[str, str]] = set()
        self._lock = Lock()  # batches are judged in several threads

    def see(self, images: Iterable[tuple[str, int | None]]) -> None:
        """Records each image's watch and the bits that its values take (`Decoded.used`)."""
        lit = [(watch, used) for watch, used in images if used]
        with self._lock:
            for watch, used in lit:
                first = self._first.setdefault(watch, [])
                if len(first) < FIRST:
                    first.append(used)
        for watch in dict.fromkeys(watch for watch, used in lit if used > self._bits):
            self._say(watch, too_bright("its images", self._bits))
        self._judge({watch for watch, _ in lit}, FIRST)

    def conclude(self) -> None:
        """Decides about every watch by the images so far, because no more are waiting."""
        self._judge(set(self._first), ENOUGH)

    def _judge(self, watches: Iterable[str], least: int) -> None:
        with self._lock:
            depths = {watch: depth_of(self._first[watch]) for watch in watches if len(self._first[watch]) >= least}
        for watch, depth in depths.items():
            if self._is_dark(depth):
                self._say(watch, too_dark("its first images", depth, self._bits))

    def _is_dark(self, depth: int) -> bool:
        """Whether images of so many bits are too dark for a network whose golden images may be dark too."""
        if depth <= self._bits - SURE or self._golden is None:
            return is_dark(depth, self._bits)
        return depth < self._golden

    def _say(self, watch: str, sentence: str) -> None:
        with self._lock:
            is_known = (watch, sentence) in self._noted
            self._noted.add((watch, sentence))
        if not is_known:
            self._note(watch, self._bundle.title, sentence)

    @cached_property
    def _golden(self) -> int | None:
        """The bits of the darkest golden image; None if no golden image has 16-bit values."""
        try:
            golden = golden_bits(self._bundle)
        except (OSError, BundleError, DecodeError):  # it could be read when the worker started, but may be gone now
            golden = None
        return depth_of([golden]) if golden else None
