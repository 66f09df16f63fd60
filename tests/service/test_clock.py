"""A wall clock that is set under the running daemon, days back and forth, as a wrong time server does it."""

import os
import random
import signal
from datetime import datetime, timedelta
from pathlib import Path

from support.site import BRIGHT, DARK, Site, picture, until, with_work_in_hand
from support.wallclock import WallClock

DAYS = [0, 3, -40, 400, -2, 0, -800, 1]
IMAGES = 12  # a step


def arrive(site: Site, clock: WallClock, name: str, data: bytes) -> None:
    """A file whose time of change is of that clock too."""
    part = site.incoming / f"{name}.part"
    part.write_bytes(data)
    os.utime(part, (clock.now().timestamp(),) * 2)
    part.rename(site.incoming / name)


def test_a_clock_set_back_and_forth_loses_nothing_and_doubles_nothing(site: Site, tmp_path: Path) -> None:
    clock = WallClock(tmp_path)
    site.within = clock.within
    site.write({"after": "move"}, worker={"batch": 4})
    chance = random.Random(5)
    expected: dict[str, str] = {}
    steps = []
    daemon = site.start()
    daemon.heard("READY=1")
    for round_, days in enumerate(DAYS):
        for index in range(IMAGES):
            if index == IMAGES // 2:  # while the images before are on their way
                wanted = chance.randint(round_ * IMAGES, len(expected))
                until(lambda wanted=wanted: len(site.rows("select 1 from inspections")) >= wanted, f"{wanted} verdicts")
                clock.set(timedelta(days=days))
                steps.append(clock.now())
            name, level = f"{round_}-{index}.png", chance.choice([BRIGHT, DARK])
            arrive(site, clock, name, picture(level, seed=round_ * IMAGES + index))
            expected[name] = "defect" if level == BRIGHT else "ok"
        if round_ == len(DAYS) // 2:  # a start at a time before everything that the ledger knows
            assert daemon.stop() == 0
            daemon = site.start()
    assert site.outcomes(len(expected)) == expected
    until(lambda: site.rows("select count(*) from images where after = 'pending'") == [(0,)], "files put away")
    assert daemon.stop() == 0
    assert site.rows("select count(*) from inspections") == [(len(expected),)]
    assert site.rows("select max(attempt), max(deaths), max(alone) from images") == [(1, 0, 0)], "no lease was lost"
    assert site.rows("select kind from events where kind in ('hang', 'worker-died', 'lease-expired')") == []
    finished = [datetime.fromisoformat(text) for (text,) in site.rows("select finished_at from images")]
    for step in steps:
        assert any(abs(each - step) < timedelta(hours=1) for each in finished), f"nothing was finished at {step}"
    assert sorted(path.name for path in (site.root / "archive").rglob("*.png")) == sorted(expected)
    overlays = {str(path.relative_to(site.root / "output")) for path in (site.root / "output").rglob("*.jpg")}
    assert overlays == {overlay for (overlay,) in site.rows("select overlay from verdicts")}


def test_a_lease_outlives_a_clock_that_is_set(site: Site, tmp_path: Path) -> None:
    clock = WallClock(tmp_path)
    site.within = clock.within
    daemon = site.start()
    daemon.heard("READY=1")
    for number in range(200):
        site.drop(f"{number}.png", picture(DARK, seed=number))
    worker = with_work_in_hand(daemon, site)
    for days in (400, -400):
        clock.set(timedelta(days=days))
        daemon.heard("WATCHDOG=1")  # the supervisor goes on at this time
    os.kill(worker, signal.SIGCONT)
    assert set(site.outcomes(200).values()) == {"ok"}
    assert site.rows("select max(attempt), max(deaths) from images") == [(1, 0)]
    assert site.rows("select count(*) from inspections") == [(200,)]
