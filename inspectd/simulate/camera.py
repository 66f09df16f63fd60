"""The camera: lets files arrive, one way after the other, at a rate, with bursts between them."""

import random

from inspectd.rehearsal.acts import Acts
from inspectd.simulate.arrivals import MOST, WAYS, Scene, Way, burst, drop_one

BURSTS = 2
BURST_SHARE = 5  # a burst is this part of all files,
BURST_MOST = 2000  # ... but not more than so many


class Camera:
    """Drops `count` contents into a scene, each way as often as the others, in an order that `rng` chooses.

    Others may drop into the same scene; what they do does not count.
    """

    def __init__(self, scene: Scene, count: int, rate: float, rng: random.Random) -> None:
        self.scene = scene
        self.dropped = 0
        self.held = False  # nothing new arrives while somebody sets this
        self._count = count
        self._rate = rate
        self._rng = rng
        self._round: list[Way] = []
        self._arriving = Acts()
        self._next = 0.0
        self._bursts = [count * (number + 1) // (BURSTS + 1) for number in range(BURSTS)]

    @property
    def done(self) -> bool:
        """Whether nothing new will arrive."""
        return self.dropped >= self._count

    @property
    def arriving(self) -> int:
        """How many are on their way."""
        return len(self._arriving)

    def advance(self, now: float) -> None:
        """Let arrive what is due (`now`: monotonic seconds)."""
        self._arriving.advance(now)
        if self.held or self.dropped >= self._count or now < self._next:
            return
        before = self.scene.taken
        if self._bursts and self.dropped >= self._bursts[0]:
            self._bursts.pop(0)
            burst(self.scene, min(self._count // BURST_SHARE, BURST_MOST, self._count - self.dropped))
            self._next = now + 1 / self._rate
        else:
            self._arriving.begin(self._way()(self.scene), now)
            self._next = now + (self.scene.taken - before) / self._rate
        self.dropped += self.scene.taken - before

    def close(self) -> None:
        self._arriving.close()

    def _way(self) -> Way:
        if self._count - self.dropped < MOST:
            return drop_one
        if not self._round:
            self._round = self._rng.sample(WAYS, len(WAYS))
        return self._round.pop()
