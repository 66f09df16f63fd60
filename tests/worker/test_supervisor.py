"""The supervisor over real worker processes: what a death costs, and whom it is blamed on."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.mounts import Space
from support.site import BRIGHT, DARK, PATIENCE, Site, picture, until

from inspectd import config
from inspectd.domain import Stat
from inspectd.errors import LedgerUnavailable
from inspectd.ledger.database import BUSY_SECONDS
from inspectd.ledger.records import Arrival
from inspectd.ledger.write.queue import Queue
from inspectd.worker import process, supervisor
from inspectd.worker.channel import Channel, Progress, pair
from inspectd.worker.process import WorkerProcess
from inspectd.worker.supervisor import STUCK_MOST, Supervisor


@pytest.fixture
def serving(site: Site, queue: Queue) -> Iterator[Supervisor]:
    """A supervisor whose worker takes one image at a time and can write no overlay: it keeps what it has claimed."""
    site.write(worker={"batch": 1})
    (site.root / "output").write_text("a file where a folder should be")
    supervisor = Supervisor(config.load(site.config), queue)
    yield supervisor
    supervisor.kill()


def enqueue(site: Site, queue: Queue, name: str, level: int) -> None:
    path = site.drop(name, picture(level))
    queue.arrivals.enqueue("line", [Arrival(name, Stat.of(path.stat()))])


def tick(supervisor: Supervisor) -> bool:
    supervisor.tick(time.monotonic())
    return True


def take_four_at_once(supervisor: Supervisor, site: Site) -> None:
    site.write(worker={"batch": 4})
    supervisor.replace(config.load(site.config), time.monotonic())
    until(lambda: tick(supervisor) and supervisor.current and supervisor.current.batch == 4, "batches of four")
    until(lambda: tick(supervisor) and len(supervisor.workers) == 1, "the end of the worker before")


def worker_holding_an_image(supervisor: Supervisor, site: Site) -> WorkerProcess:
    until(lambda: tick(supervisor) and supervisor.ready, "a ready worker")
    until(lambda: tick(supervisor) and site.rows("select 1 from images where state = 'claimed'"), "a claim")
    assert supervisor.current is not None
    return supervisor.current


def test_a_locked_ledger_is_no_hang() -> None:
    """A worker is silent while it waits for the ledger's lock."""
    assert 2 * BUSY_SECONDS < process.HANG_LEAST


def test_an_image_that_takes_all_memory_by_itself_is_blamed(
    serving: Supervisor, site: Site, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = 0
    for each in (process, supervisor):
        monkeypatch.setattr(each, "oom_kills", lambda: kills)
    enqueue(site, queue, "huge.png", BRIGHT)
    for _ in range(3):
        worker = worker_holding_an_image(serving, site)
        kills += 1
        os.kill(worker.process.pid, signal.SIGKILL)
        until(lambda worker=worker: tick(serving) and worker not in serving.workers, "the burial")
    (state, reason) = site.rows("select state, reason from images")[0]
    assert state == "failed"
    assert reason.startswith("crashes the worker")


def test_a_batch_that_takes_all_memory_is_halved_and_blames_nobody(
    serving: Supervisor, site: Site, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own kill for memory, told from any other by its count alone."""
    kills = 0
    for each in (process, supervisor):
        monkeypatch.setattr(each, "oom_kills", lambda: kills)
    take_four_at_once(serving, site)
    for number in range(8):
        enqueue(site, queue, f"{number}.png", BRIGHT)
    sizes = []
    for memory in (True, False, True, True):
        worker = worker_holding_an_image(serving, site)
        sizes.append(worker.batch)
        kills += memory
        os.kill(worker.process.pid, signal.SIGKILL)
        until(lambda worker=worker: tick(serving) and worker not in serving.workers, "the burial")
    assert sizes == [4, 2, 2, 1]
    details = [detail for (detail,) in site.rows("select detail from events where kind = 'worker-died' order by id")]
    assert [detail.partition("; ")[2] for detail in details] == [
        "killed by the kernel for memory: batch is now 2",
        "",
        "killed by the kernel for memory: batch is now 1",
        "",
    ]
    assert site.rows("select sum(deaths) from images") == [(1,)], "only the last, over one image"


def test_a_hang_is_not_taken_for_a_lack_of_memory(
    serving: Supervisor, site: Site, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may have killed another program since, and a worker that hangs is killed alike."""
    take_four_at_once(serving, site)
    enqueue(site, queue, "a.png", DARK)
    worker = worker_holding_an_image(serving, site)
    monkeypatch.setattr(supervisor, "oom_kills", lambda: worker.oom_kills + 1)
    os.kill(worker.process.pid, signal.SIGSTOP)
    worker.listen(time.monotonic())  # what it said before it was stopped
    serving.tick(time.monotonic() + process.WARM_UP)
    assert serving.trouble == f"worker {worker.process.pid} silent for 30 s: killed and replaced"
    assert site.rows("select kind, deaths from events, images where kind in ('hang', 'worker-died')") == [("hang", 1)]
    serving.tick(time.monotonic() + process.WARM_UP)
    assert serving.current is not None
    assert serving.current.batch == 4


def test_deaths_over_images_never_hold_up_the_others_for_long() -> None:
    """They are bounded by the blame; a worker that dies for another reason is started ever more seldom."""
    blamed = [supervisor._back_off(crashes, supervisor.BACK_OFF_BLAMED) for crashes in (1, 2, 3, 10, 5000)]
    others = [supervisor._back_off(crashes, supervisor.BACK_OFF_MOST) for crashes in (1, 2, 3, 10, 5000)]
    assert blamed == [0, 0, 2, 2, 2]
    assert others == [0, 0, 2, 60, 60]


def test_a_dead_worker_wakes_nobody_while_the_ledger_refuses(
    serving: Supervisor, site: Site, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its closed line stays readable for ever: to wait on it would be to spin."""
    enqueue(site, queue, "a.png", DARK)
    worker = worker_holding_an_image(serving, site)
    release = queue.claims.release

    def refuse(*_: object, **__: object) -> int:
        raise LedgerUnavailable("the disk is full")

    monkeypatch.setattr(queue.claims, "release", refuse)
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    with pytest.raises(LedgerUnavailable):
        tick(serving)
    assert serving.lines == []
    monkeypatch.setattr(queue.claims, "release", release)
    tick(serving)
    assert worker not in serving.workers
    assert site.rows("select state, alone from images") == [("queued", 1)]


def test_a_worker_that_hangs_with_the_ledgers_lock_in_its_hands_is_killed(
    serving: Supervisor, site: Site, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is gone nothing can be written, not even that it hangs."""
    enqueue(site, queue, "a.png", DARK)
    worker = worker_holding_an_image(serving, site)
    write = queue.event

    def wait_for_the_lock(*arguments: Any, **fields: Any) -> None:
        if worker.process.poll() is None:
            raise LedgerUnavailable("the worker holds the lock")
        write(*arguments, **fields)

    monkeypatch.setattr(queue, "event", wait_for_the_lock)
    os.kill(worker.process.pid, signal.SIGSTOP)
    worker.listen(time.monotonic())  # what it said before it was stopped
    serving.tick(time.monotonic() + process.WARM_UP)
    assert worker not in serving.workers
    assert site.rows("select kind from events") == [("hang",)]
    assert site.rows("select state, deaths from images") == [("queued", 1)]


def test_a_hang_is_no_death_although_the_ledger_refuses_it_at_first(
    serving: Supervisor, site: Site, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(site, queue, "a.png", DARK)
    worker = worker_holding_an_image(serving, site)
    os.kill(worker.process.pid, signal.SIGSTOP)
    worker.listen(time.monotonic())  # what it said before it was stopped

    def refuse(*_: object, **__: object) -> None:
        raise LedgerUnavailable("the disk is full")

    with monkeypatch.context() as full:
        full.setattr(queue, "event", refuse)
        with pytest.raises(LedgerUnavailable):
            serving.tick(time.monotonic() + process.WARM_UP)
    tick(serving)
    assert worker not in serving.workers
    assert site.rows("select kind from events where kind in ('hang', 'worker-died')") == [("hang",)]


def waits_in_the_kernel(worker: WorkerProcess) -> Callable[[], bool]:
    """Whether a thread has waited there in 50 looks in a row: for a disk that works it waits a moment."""
    looks: Counter[Path] = Counter()

    def look() -> bool:
        for thread in Path(f"/proc/{worker.process.pid}/task").iterdir():
            is_waiting = "\nState:\tD" in (thread / "status").read_text()
            looks[thread] = looks[thread] + 1 if is_waiting else 0
        return max(looks.values()) >= 50

    return look


def test_a_worker_that_the_kernel_does_not_let_go_of_holds_up_nobody(
    serving: Supervisor, site: Site, queue: Queue, space: Space
) -> None:
    """A true hang: its output's disk is frozen, and not even SIGKILL ends a process that writes there."""
    disk = site.root / "frozen"
    disk.mkdir()
    space.ext4(disk, site.root / "disk.img")
    site.write(worker={"batch": 1}, output=str(space.path(disk)))
    serving.config = config.load(site.config)
    enqueue(site, queue, "a.png", BRIGHT)
    stuck = []
    with space.frozen(disk):
        for _ in range(STUCK_MOST):
            stuck.append(worker := worker_holding_an_image(serving, site))
            until(waits_in_the_kernel(worker), "the hang")
            worker.listen(time.monotonic())
            later = time.monotonic() + process.WARM_UP
            serving.tick(later)
            assert worker.process.poll() is None
            assert worker not in serving.workers
            serving.tick(later)  # and the next one is started, unless there are too many
        assert len(serving.workers) == 0, "their memory is not free: no other beside so many"
        assert "the kernel keeps it" in (serving.trouble or "")
        assert site.rows("select count(*) from events where kind = 'hang'") == [(STUCK_MOST,)]
        assert site.rows("select state, alone from images") == [("queued", 1)]
    assert [worker.process.wait(PATIENCE) for worker in stuck] == [-signal.SIGKILL] * STUCK_MOST
    serving.tick(later)
    until(lambda: tick(serving) and site.rows("select 1 from inspections"), "a verdict, now that the disk answers")
    assert site.rows("select count(*) from inspections") == [(1,)]


def test_a_stop_that_a_full_line_dropped_is_said_again(serving: Supervisor) -> None:
    until(lambda: tick(serving) and serving.ready, "a ready worker")
    worker = serving.current
    assert worker is not None
    os.kill(worker.process.pid, signal.SIGSTOP)
    for _ in range(5000):
        serving.wake()
    serving.stop()
    os.kill(worker.process.pid, signal.SIGCONT)
    until(lambda: tick(serving) and not serving.workers, "the worker's end")
    assert worker.process.returncode == 0


def test_a_newer_configuration_overtakes_one_that_is_being_proven(serving: Supervisor, site: Site) -> None:
    until(lambda: tick(serving) and serving.ready, "a ready worker")
    newest = config.load(site.config)
    for each in (config.load(site.config), newest):
        serving.replace(each, time.monotonic())
    until(lambda: tick(serving) and serving.config is newest, "the newest configuration")
    until(lambda: tick(serving) and len(serving.workers) == 1, "one worker alone")
    assert not serving.refused


def test_a_batch_that_hangs_beside_another_is_heard_of(serving: Supervisor, site: Site, queue: Queue) -> None:
    enqueue(site, queue, "a.png", DARK)
    worker = worker_holding_an_image(serving, site)
    os.kill(worker.process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, worker.process.pid, os.WSTOPPED | os.WNOWAIT)  # until then it would see its line close, and end
    ours, theirs = pair()
    worker.channel.close()
    worker.channel = ours
    with theirs:
        Channel(theirs).send(Progress(0, quiet=worker.patience - 1))
        assert not worker.is_silent(1000.0)
        Channel(theirs).send(Progress(0, quiet=worker.patience + 1))
        assert worker.is_silent(1000.0), "one batch goes on, the other does not"
