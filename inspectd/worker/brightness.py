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
from inspectd.vision.depth import SURE, depth_of, is_dark, too_bright, too_dark
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
        """Record each image's watch and the bits that its values take (`Decoded.used`)."""
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
        """Decide about every watch by what was seen: no more images are at hand."""
        self._judge(set(self._first), ENOUGH)

    def _judge(self, watches: Iterable[str], least: int) -> None:
        with self._lock:
            depths = {watch: depth_of(self._first[watch]) for watch in watches if len(self._first[watch]) >= least}
        for watch, depth in depths.items():
            if self._is_dark(depth):
                self._say(watch, too_dark("its first images", depth, self._bits))

    def _is_dark(self, depth: int) -> bool:
        """Whether images of so many bits are too dark, for a network that knows images as dark as the golden ones."""
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
        """The bits of the camera that took the darkest golden image; None where no golden image tells."""
        try:
            golden = golden_bits(self._bundle)
        except (OSError, BundleError, DecodeError):  # it was read when the worker started; it need not last
            golden = None
        return depth_of([golden]) if golden else None
