"""Putting source files away acts on the judged file alone, whatever happens to its name meanwhile."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import pytest

from inspectd.config import Watch
from inspectd.domain import Stat
from inspectd.ledger.records import Finished
from inspectd.ledger.schema import After
from inspectd.worker import after
from inspectd.worker.after import carry_out

JUDGED, NEWER = b"the content that was judged", b"newer content that nobody has looked at"


def make_watch(root: Path, rule: Literal["keep", "move", "delete"]) -> Watch:
    incoming = root / "incoming"
    incoming.mkdir(exist_ok=True)
    return Watch(
        name="line", path=incoming, model=root, after=rule, move_to=str(root / "archive/{watch}/{verdict}/{date}")
    )


def make_owed(watch: Watch, name: str = "a.png", verdict: str = "ok", image_id: int = 7) -> Finished:
    path = watch.path / name
    path.write_bytes(JUDGED)
    return Finished(
        image_id=image_id,
        watch=watch.name,
        path=name,
        stat=Stat.of(path.stat()),
        outcome=verdict,
        finished_at="2026-11-23T10:00:00.000Z",
    )


def contents(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in root.rglob("*") if path.is_file()]


def test_move_goes_to_the_archive(tmp_path: Path) -> None:
    watch = make_watch(tmp_path, "move")
    became, moved_to = carry_out(watch, make_owed(watch, verdict="defect"))
    assert became is After.MOVED
    assert moved_to == str(tmp_path / "archive/line/defect/2026-11-23/a.png")
    assert Path(moved_to).read_bytes() == JUDGED
    assert list(watch.path.iterdir()) == []


def test_a_taken_name_in_the_archive_gets_the_image_id(tmp_path: Path) -> None:
    watch = make_watch(tmp_path, "move")
    carry_out(watch, make_owed(watch))
    owed = make_owed(watch, image_id=8)
    (watch.path / "a.png").write_bytes(NEWER)
    second = Finished(8, "line", "a.png", Stat.of((watch.path / "a.png").stat()), "ok", owed.finished_at)
    _, moved_to = carry_out(watch, second)
    assert Path(moved_to or "").name == "a-8.png"
    assert sorted(contents(tmp_path / "archive")) == sorted([JUDGED, NEWER])


@pytest.mark.parametrize("verdict", ["defect", "review", "failed"])
def test_delete_spares_everything_but_ok(tmp_path: Path, verdict: str) -> None:
    watch = make_watch(tmp_path, "delete")
    assert carry_out(watch, make_owed(watch, verdict=verdict)) == (After.KEPT, None)
    assert contents(watch.path) == [JUDGED]


def test_delete_of_ok(tmp_path: Path) -> None:
    watch = make_watch(tmp_path, "delete")
    assert carry_out(watch, make_owed(watch)) == (After.DELETED, None)
    assert contents(watch.path) == []


def test_a_file_that_changed_since_is_kept(tmp_path: Path) -> None:
    watch = make_watch(tmp_path, "delete")
    owed = make_owed(watch)
    (watch.path / "a.png").write_bytes(NEWER)
    assert carry_out(watch, owed) == (After.KEPT, None)
    assert contents(watch.path) == [NEWER]


def replace_by_rename(path: Path) -> None:
    other = path.with_name("upload.part")
    other.write_bytes(NEWER)
    other.rename(path)


def overwrite_in_place(path: Path) -> None:
    path.write_bytes(NEWER)


def run_with(actions: dict[int, Callable[[], None]], call: Callable[[], Any]) -> bool:
    """Run `call` with an action before each given line that after.py executes; whether the first was reached."""
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if frame.f_code.co_filename != after.__file__:
            return None
        if event == "line":
            seen += 1
            if seen in actions:
                actions[seen]()
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return seen >= min(actions)


def run_until_line(step: int, call: Callable[[], Any], interfere: Callable[[], None]) -> bool:
    """Run `call`, interfering before the step-th line; whether it was reached."""
    return run_with({step: interfere}, call)


@pytest.mark.parametrize("rule", ["move", "delete"])
@pytest.mark.parametrize("interference", [replace_by_rename, overwrite_in_place])
def test_an_overwrite_at_any_step_destroys_nothing_unjudged(
    tmp_path: Path, rule: Literal["move", "delete"], interference: Callable[[Path], None]
) -> None:
    step = 0
    reached = True
    while reached:
        step += 1
        root = tmp_path / str(step)
        root.mkdir()
        watch = make_watch(root, rule)
        owed = make_owed(watch)
        reached = run_until_line(
            step,
            lambda watch=watch, owed=owed: carry_out(watch, owed),
            lambda watch=watch: interference(watch.path / "a.png"),
        )
        if reached:
            visible = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
            assert NEWER in [path.read_bytes() for path in visible], f"lost at step {step}: {contents(root)}"
    assert step > 15, "the interference must have had steps to interfere with"


class Crash(BaseException):
    """The process dies here."""


def die() -> None:
    raise Crash


@pytest.mark.parametrize("rule", ["move", "delete"])
def test_a_crash_at_any_step_is_taken_up_again(tmp_path: Path, rule: Literal["move", "delete"]) -> None:
    """Abandoned at any line, a second call finishes what the first began and says what became of the file."""
    step = 0
    while True:
        step += 1
        root = tmp_path / str(step)
        root.mkdir()
        watch = make_watch(root, rule)
        owed = make_owed(watch)
        try:
            run_until_line(step, lambda watch=watch, owed=owed: carry_out(watch, owed), die)
        except Crash:
            became, moved_to = carry_out(watch, owed)
        else:
            break
        assert became is (After.MOVED if rule == "move" else After.DELETED), f"crashed at step {step}"
        assert (moved_to is not None) == (rule == "move"), f"crashed at step {step}"
        assert contents(watch.path) == [], f"crashed at step {step}"
        assert contents(root) == ([JUDGED] if rule == "move" else []), f"crashed at step {step}"
    assert step > 10


@pytest.mark.parametrize("rule", ["move", "delete"])
@pytest.mark.parametrize("interference", [replace_by_rename, overwrite_in_place])
def test_an_overwrite_and_then_a_crash_destroy_nothing_unjudged(
    tmp_path: Path, rule: Literal["move", "delete"], interference: Callable[[Path], None]
) -> None:
    """Overwritten before one line, dead before a later one: the next attempt must not trust the private name."""
    for step in range(1, 40):
        for later in range(step + 1, step + 12):
            root = tmp_path / f"{step}-{later}"
            root.mkdir()
            watch = make_watch(root, rule)
            owed = make_owed(watch)
            source = watch.path / "a.png"
            actions = {step: lambda source=source: interference(source), later: die}
            try:
                interfered = run_with(actions, lambda watch=watch, owed=owed: carry_out(watch, owed))
            except Crash:
                interfered = True
                carry_out(watch, owed)
            if not interfered:
                return
            visible = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
            assert NEWER in [path.read_bytes() for path in visible], f"lost at {step}, dead at {later}"
    raise AssertionError("the steps never ended")


def test_the_longest_names_are_moved_and_put_back(tmp_path: Path) -> None:
    watch = make_watch(tmp_path, "move")
    name = "x" * 251 + ".png"
    carry_out(watch, make_owed(watch, name))
    second = make_owed(watch, name, image_id=8)
    (watch.path / name).write_bytes(NEWER)
    second = Finished(8, "line", name, Stat.of((watch.path / name).stat()), "ok", second.finished_at)
    became, _ = carry_out(watch, second)
    assert became is After.MOVED
    assert sorted(contents(tmp_path / "archive")) == sorted([JUDGED, NEWER])
