"""What long work shows while it lasts: sentences that stay, and on a terminal one bar for the stage in hand."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from inspectd.cli.output import printable


class Screen:
    """A witness of long work; see `screen`."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task
        self._stage = ""

    def say(self, sentence: str) -> None:
        """Something a user should know."""
        self._bar.console.print(printable(sentence), markup=False, highlight=False, soft_wrap=True)

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far a stage has come."""
        if stage != self._stage:
            self._stage = stage
            self._bar.reset(self._task, description=stage, total=total)
        self._bar.update(self._task, completed=done)


@contextmanager
def screen(*, stderr: bool = False) -> Iterator[Screen]:
    """A screen on standard output, or on standard error where standard output is for programs."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=stderr)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield Screen(bar, bar.add_task(""))
