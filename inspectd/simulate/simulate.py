"""The simulation itself: the camera, the faults and the daemon in one loop, and the ledger held against the notes."""

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy import func, select

from inspectd.config import load
from inspectd.errors import InspectdError, LedgerError
from inspectd.ledger.database import open_reader
from inspectd.ledger.read.filters import Filter
from inspectd.ledger.read.search import Follower, results
from inspectd.ledger.schema import inspections
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import Thresholds
from inspectd.rehearsal.acts import Act, Acts
from inspectd.rehearsal.album import Album
from inspectd.rehearsal.daemon import DaemonProcess
from inspectd.rehearsal.site import RehearsalSite, lay_out
from inspectd.simulate.arrivals import Scene
from inspectd.simulate.audit import Audit, Notes, audit
from inspectd.simulate.camera import Camera
from inspectd.simulate.fault_plan import SimulationOptions, plan
from inspectd.simulate.faults import FaultTarget
from inspectd.simulate.report import SimulationReport

STEP = 0.01  # seconds between two rounds of the loop
LOOK = 0.5  # seconds between two looks at the ledger
WATCH = {"name": "line", "settle": 0.5, "rescan": 10}
THRESHOLDS = Thresholds(defect=0.3, review=-0.3)  # around mid-grey, so that every verdict occurs
SAY = 10.0  # seconds between two words to who waits
PATIENCE = 120.0  # seconds without any new outcome after which waiting has no sense

Say = Callable[[str], None]


def simulate(options: SimulationOptions, album: Album, directory: Path | None, say: Say) -> SimulationReport:
    """Build a site, run the daemon in it while files arrive and faults happen, and audit what came of it.

    The site is a temporary folder that is removed when every promise was kept, or `directory`, which stays. An
    interrupt (KeyboardInterrupt) leaves nothing running, and no temporary folder.

    Raises:
        InspectdError: `directory` cannot be used.
    """
    root = directory or Path(tempfile.mkdtemp(prefix="inspectd-simulate-"))
    keep = directory is not None
    try:
        run = _Simulation(_lay_out(root.absolute()), options, album, say)
        report = run.go(keep)
        keep = keep or not report.kept_promises
        return report
    finally:
        if not keep:
            shutil.rmtree(root, ignore_errors=True)


def _lay_out(root: Path) -> RehearsalSite:
    if root.exists() and any(root.iterdir()):
        raise InspectdError(f"{root} is not empty: name a new folder with --dir.")
    return lay_out(root, WATCH, partial(write_null_bundle, thresholds=THRESHOLDS))


class _Simulation:
    """One simulation on a site."""

    def __init__(self, site: RehearsalSite, options: SimulationOptions, album: Album, say: Say) -> None:
        rng = random.Random(options.seed)
        self._site = site
        self._options = options
        self._say = say
        self._notes = Notes()
        self._daemon = DaemonProcess(site)
        self._camera = Camera(Scene(site.incoming, site.aside, album, self._notes), options.count, options.rate, rng)
        self._target = FaultTarget(site, self._daemon, self._camera, rng)
        self._plan, self._not_made = plan(options, rng)
        self._made: Counter[str] = Counter()
        self._database = load(site.config).database
        self._follower: Follower | None = None
        self._began = self._last = time.monotonic()
        self._faults = Acts()
        self._pending = True  # whether rows wait, as last seen
        self._look_at = 0.0
        self._say_at = self._began + SAY

    def go(self, keep: bool) -> SimulationReport:
        """All of it, from the daemon's start to the audit; `keep`: whether the site stays even if all went well."""
        broken: list[str] = []
        try:
            self._until(lambda: self._daemon.readies > 0)
            self._say(f"The daemon is ready. {self._options.count} files arrive, {len(self._plan)} faults happen.")
            self._began = time.monotonic()
            self._faults.begin(self._trouble(), self._began)
            self._until(lambda: self._camera.done and not self._faults, camera=True)
            self._say("Everything has arrived. Waiting for the last outcomes …")
            self._last = time.monotonic()
            self._until(self._settled, camera=True)
            if not self._notes.awaited:  # else a restart might find what this daemon has lost
                self._say("Stopping the daemon; a run over the same folder must change nothing …")
                self._daemon.stop()
                self._daemon.run_once(PATIENCE)
        except InspectdError as error:
            broken.append(str(error))
        finally:
            self._faults.close()
            self._camera.close()
            self._daemon.close()
        return self._report(broken, keep)

    def _until(self, over: Callable[[], bool], *, camera: bool = False) -> None:
        """The loop: the daemon, what arrives, what goes wrong, and a look at the ledger now and then."""
        while not over():
            now = time.monotonic()
            self._daemon.tend(now)
            if camera:
                self._camera.advance(now)
            self._faults.advance(now)
            if self._daemon.readies and now >= self._look_at:
                self._look(now)
                self._look_at = time.monotonic() + LOOK
            time.sleep(STEP)

    def _trouble(self) -> Act:
        """One fault after the other, spread over all that arrives."""
        for number, fault in enumerate(self._plan):
            while self._camera.dropped < self._options.count * number // len(self._plan):
                yield STEP
            yield self._target.rng.random()
            yield from fault(self._target)
            self._made[fault.__name__] += 1

    def _look(self, now: float) -> None:
        if self._follower is None:
            self._follower = Follower(open_reader(self._database), Filter())
        rows = self._follower.poll()
        self._notes.meet(rows)
        if rows:
            self._last = now
        if self._camera.done and not self._notes.awaited:
            self._pending = any(results(open_reader(self._database), Filter(verdict="pending")))
        if now >= self._say_at:
            self._say_at = now + SAY
            dropped, awaited = self._camera.scene.taken, self._notes.awaited
            self._say(f"{dropped} dropped, {awaited} still without outcome, {self._made.total()} faults made")

    def _settled(self) -> bool:
        """Whether the daemon serves and nothing is waited for any more, or something has been for too long."""
        waits = self._notes.awaited or self._camera.arriving or self._pending
        return (self._daemon.ready_worker is not None and not waits) or time.monotonic() - self._last > PATIENCE

    def _report(self, broken: Sequence[str], keep: bool) -> SimulationReport:
        found = self._audit()
        report = SimulationReport(
            audit=found,
            dropped=Counter(self._notes.expected.values()),
            faults=self._made,
            not_made=self._not_made,
            seconds=self._last - self._began,
            broken=tuple(broken),
            kept=self._site.root,
            seed=self._options.seed,
        )
        return report if keep or not report.kept_promises else replace(report, kept=None)

    def _audit(self) -> Audit:
        try:
            engine = open_reader(self._database)
        except LedgerError:  # the daemon never got so far as to make one
            return audit(self._notes, (), lambda _: False, ())
        by_image = select(inspections.c.image_id).group_by(inspections.c.image_id)
        with engine.connect() as connection:
            twice = set(connection.scalars(by_image.having(func.count() > 1)))
        return audit(self._notes, tuple(results(engine, Filter())), self._has_overlay, twice)

    def _has_overlay(self, overlay: str) -> bool:
        file = self._site.output / overlay
        return file.is_file() and file.stat().st_size > 0
