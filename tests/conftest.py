"""What every test shares: a run with an unlisted skip fails, so that no test drops out unseen."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mounts import Space

ALLOWED = Path(__file__).with_name("skips.txt")
_unlisted: list[str] = []

# A run that was started in the background ignores Ctrl-C, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def space() -> Iterator[Space]:
    """A mount namespace of the test's own."""
    space = Space()
    yield space
    space.close()


def _allowed_reasons() -> set[str]:
    lines = ALLOWED.read_text().splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if reason not in _allowed_reasons():
            _unlisted.append(f"{report.nodeid}: {reason}")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _unlisted.append(f"{report.nodeid}: a whole module skipped")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _unlisted:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _unlisted:
        terminalreporter.write_line(f"skip not listed in {ALLOWED.name}: {line}", red=True)
