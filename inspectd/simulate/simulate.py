"""The simulation itself: the camera, the faults and the daemon in one loop, and the ledger held against the books."""

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import func, select

from inspectd.config import load
from inspectd.demo.place import Place
from inspectd.errors import InspectdError, LedgerError
from inspectd.ledger.database import open_reader
from inspectd.ledger.read.filters import Filter
from inspectd.ledger.read.search import Follower, results
from inspectd.ledger.schema import inspections
from inspectd.simulate.agenda import Act, Agenda
from inspectd.simulate.album import Album
from inspectd.simulate.arrivals import Scene
from inspectd.simulate.books import Audit, Books, audit
from inspectd.simulate.camera import Camera
from inspectd.simulate.faults import Stage
from inspectd.simulate.plan import Wanted, plan
from inspectd.simulate.report import Report
from inspectd.simulate.service import Service
from inspectd.simulate.site import lay_out

STEP = 0.01  # seconds between two rounds of the loop
LOOK = 0.5  # seconds between two looks at the ledger
SAY = 10.0  # seconds between two words to who waits
PATIENCE = 120.0  # seconds without any new outcome after which waiting has no sense

Say = Callable[[str], None]


def simulate(wanted: Wanted, album: Album, directory: Path | None, say: Say) -> Report:
    """Build a site, run the daemon in it while files arrive and faults happen, and audit what came of it.

    The site is a temporary folder that is removed when every promise was kept, or `directory`, which stays. An
    interrupt (KeyboardInterrupt) leaves nothing running, and no temporary folder.

    Raises:
        InspectdError: `directory` cannot be used.
    """
    root = directory or Path(tempfile.mkdtemp(prefix="inspectd-simulate-"))
    keep = directory is not None
    try:
        run = _Run(lay_out(root.absolute()), wanted, album, say)
        report = run.go(keep)
        keep = keep or not report.kept_promises
        return report
    finally:
        if not keep:
            shutil.rmtree(root, ignore_errors=True)


class _Run:
    """One simulation on a site."""

    def __init__(self, site: Place, wanted: Wanted, album: Album, say: Say) -> None:
        rng = random.Random(wanted.seed)
        self._site = site
        self._wanted = wanted
        self._say = say
        self._books = Books()
        self._service = Service(site)
        self._camera = Camera(Scene(site.incoming, site.aside, album, self._books), wanted.count, wanted.rate, rng)
        self._stage = Stage(site, self._service, self._camera, rng)
        self._plan, self._not_made = plan(wanted, rng)
        self._made: Counter[str] = Counter()
        self._database = load(site.config).database
        self._follower: Follower | None = None
        self._began = self._last = time.monotonic()
        self._faults = Agenda()
        self._pending = True  # whether rows wait, as last seen
        self._look_at = 0.0
        self._say_at = self._began + SAY

    def go(self, keep: bool) -> Report:
        """All of it, from the daemon's start to the audit; `keep`: whether the site stays even if all went well."""
        broken: list[str] = []
        try:
            self._until(lambda: self._service.readies > 0)
            self._say(f"The daemon is ready. {self._wanted.count} files arrive, {len(self._plan)} faults happen.")
            self._began = time.monotonic()
            self._faults.begin(self._trouble(), self._began)
            self._until(lambda: self._camera.done and not self._faults, camera=True)
            self._say("Everything has arrived. Waiting for the last outcomes …")
            self._last = time.monotonic()
            self._until(self._settled, camera=True)
            if not self._books.awaited:  # else a restart might find what this daemon has lost
                self._say("Stopping the daemon; a run over the same folder must change nothing …")
                self._service.stop()
                self._service.run_once(PATIENCE)
        except InspectdError as error:
            broken.append(str(error))
        finally:
            self._faults.close()
            self._camera.close()
            self._service.close()
        return self._report(broken, keep)

    def _until(self, over: Callable[[], bool], *, camera: bool = False) -> None:
        """The loop: the daemon, what arrives, what goes wrong, and a look at the ledger now and then."""
        while not over():
            now = time.monotonic()
            self._service.tend(now)
            if camera:
                self._camera.advance(now)
            self._faults.advance(now)
            if self._service.readies and now >= self._look_at:
                self._look(now)
                self._look_at = time.monotonic() + LOOK
            time.sleep(STEP)

    def _trouble(self) -> Act:
        """One fault after the other, spread over all that arrives."""
        for number, fault in enumerate(self._plan):
            while self._camera.dropped < self._wanted.count * number // len(self._plan):
                yield STEP
            yield self._stage.rng.random()
            yield from fault(self._stage)
            self._made[fault.__name__] += 1

    def _look(self, now: float) -> None:
        if self._follower is None:
            self._follower = Follower(open_reader(self._database), Filter())
        rows = self._follower.poll()
        self._books.meet(rows)
        if rows:
            self._last = now
        if self._camera.done and not self._books.awaited:
            self._pending = any(results(open_reader(self._database), Filter(verdict="pending")))
        if now >= self._say_at:
            self._say_at = now + SAY
            dropped, awaited = self._camera.scene.taken, self._books.awaited
            self._say(f"{dropped} dropped, {awaited} still without outcome, {self._made.total()} faults made")

    def _settled(self) -> bool:
        """Whether the daemon serves and nothing is waited for any more, or something has been for too long."""
        waits = self._books.awaited or self._camera.arriving or self._pending
        return (self._service.ready_worker is not None and not waits) or time.monotonic() - self._last > PATIENCE

    def _report(self, broken: Sequence[str], keep: bool) -> Report:
        found = self._audit()
        report = Report(
            audit=found,
            dropped=Counter(self._books.fates.values()),
            faults=self._made,
            not_made=self._not_made,
            seconds=self._last - self._began,
            broken=tuple(broken),
            kept=self._site.root,
            seed=self._wanted.seed,
        )
        return report if keep or not report.kept_promises else replace(report, kept=None)

    def _audit(self) -> Audit:
        try:
            engine = open_reader(self._database)
        except LedgerError:  # the daemon never got so far as to make one
            return audit(self._books, (), lambda _: False, ())
        by_image = select(inspections.c.image_id).group_by(inspections.c.image_id)
        with engine.connect() as connection:
            twice = set(connection.scalars(by_image.having(func.count() > 1)))
        return audit(self._books, tuple(results(engine, Filter())), self._has_overlay, twice)

    def _has_overlay(self, overlay: str) -> bool:
        file = self._site.output / overlay
        return file.is_file() and file.stat().st_size > 0
