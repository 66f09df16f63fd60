"""Whether the images of a watch have the bits that its bundle reads.

What a network sees of a camera with other bits is nearly black, or white, and its verdicts mean nothing. The first
images of a watch tell whether it is too dark, and any image whether it is too bright. Nothing is read but for the
golden images, where a doubt depends on them.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from threading import Lock

from inspectd.errors import BundleError
from inspectd.model.bundle import Bundle
from inspectd.model.golden import golden_bits
from inspectd.vision.depth import FULL, SURE, depth_of, too_bright, too_dark
from inspectd.vision.errors import DecodeError

FIRST = 20  # images of a watch that decide
ENOUGH = 2  # ... where no more are at hand; the light of a single one may not have been on yet


class Brightness:
    """What one bundle expects, and what the images of its watches have shown since the worker started.

    Args:
        note: Is told a watch, the bundle's title, and a sentence about the watch's images; each once.
    """

    def __init__(self, bundle: Bundle, note: Callable[[str, str, str], None]) -> None:
        self._bundle = bundle
        self._bits = bundle.spec.preparation.bits
        self._note = note
        self._first: dict[str, list[int]] = {}
        self._noted: set[tuple[str, str]] = set()
        self._lock = Lock()  # batches are judged in several threads

    def see(self, images: Iterable[tuple[str, int | None]]) -> None:
        """Takes in each image's watch and the bits that its values take (`Decoded.used`)."""
        lit = [(watch, used) for watch, used in images if used]
        with self._lock:
            for watch, used in lit:
                first = self._first.setdefault(watch, [])
                if len(first) < FIRST:
                    first.append(used)
        for watch in dict.fromkeys(watch for watch, used in lit if used > self._bits):
            self._say(watch, too_bright("its images", self._bits))
        self._judge(FIRST)

    def conclude(self) -> None:
        """No more images are at hand: what was seen has to do."""
        self._judge(ENOUGH)

    def _judge(self, least: int) -> None:
        with self._lock:
            depths = {watch: depth_of(first) for watch, first in self._first.items() if len(first) >= least}
        for watch, depth in depths.items():
            if depth <= self._bits - SURE or depth < self._usual:
                self._say(watch, too_dark("its first images", depth, self._bits))

    def _say(self, watch: str, sentence: str) -> None:
        with self._lock:
            is_known = (watch, sentence) in self._noted
            self._noted.add((watch, sentence))
        if not is_known:
            self._note(watch, self._bundle.title, sentence)

    @cached_property
    def _usual(self) -> int:
        """With so many bits images are dark enough for the network to know them: as the darkest golden image is."""
        try:
            golden = golden_bits(self._bundle)
        except (OSError, BundleError, DecodeError):  # it was read when the worker started; it need not last
            golden = None
        if golden:
            return depth_of([golden])
        return self._bits if self._bits == FULL else self._bits - 2
