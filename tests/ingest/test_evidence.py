"""When events count as missing, and when as arriving again."""

from inspectd.ingest.evidence import ENOUGH, MEMORY, Evidence

QUIET = 60.0


def miss(evidence: Evidence, number: int, now: float = 0.0, prefix: str = "missed") -> None:
    for index in range(number):
        path = f"{prefix}{index}"
        evidence.found(path)
        assert evidence.is_suspect(path)
        evidence.miss(path, now)


def name(evidence: Evidence, number: int) -> None:
    for index in range(number):
        evidence.named(f"named{index}")


def test_a_few_missed_files_show_that_no_events_arrive() -> None:
    evidence = Evidence(QUIET)
    miss(evidence, ENOUGH - 1)
    assert evidence.arrive(0.0)
    miss(evidence, 1, prefix="last")
    assert not evidence.arrive(0.0)
    assert evidence.missed == ENOUGH


def test_an_event_that_comes_late_takes_back_the_suspicion() -> None:
    evidence = Evidence(QUIET)
    evidence.found("settling")
    evidence.named("settling")
    assert not evidence.is_suspect("settling")
    miss(evidence, ENOUGH)
    evidence.named("missed0")
    assert evidence.arrive(0.0)


def test_what_was_lost_for_a_known_reason_proves_nothing() -> None:
    evidence = Evidence(QUIET)
    miss(evidence, ENOUGH)
    evidence.found("settling")
    evidence.excuse()
    assert not evidence.is_suspect("settling")
    assert evidence.arrive(0.0)
    assert evidence.missed == ENOUGH


def test_a_few_in_a_year_are_no_fault() -> None:
    evidence = Evidence(QUIET)
    for day in range(365):
        miss(evidence, ENOUGH - 1, day * MEMORY, prefix=f"{day}/")
        assert evidence.arrive(day * MEMORY)


def test_events_arrive_again_when_enough_files_are_named_and_none_is_missed_for_a_while() -> None:
    evidence = Evidence(QUIET)
    miss(evidence, ENOUGH)
    assert not evidence.arrive(0.0)
    assert not evidence.arrive(10 * MEMORY), "nothing has come at all"
    name(evidence, ENOUGH - 1)
    evidence.named("named0")
    assert not evidence.arrive(QUIET), "the same file twice"
    name(evidence, ENOUGH)
    miss(evidence, 1, QUIET)
    assert not evidence.arrive(3 * QUIET), "one was missed after them"
    name(evidence, ENOUGH)
    assert not evidence.arrive(2 * QUIET - 1)
    assert evidence.arrive(2 * QUIET)
    assert evidence.arrive(3 * QUIET)
