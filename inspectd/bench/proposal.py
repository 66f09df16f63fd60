"""From what was measured to settings: the least that is as good as the best, within what measuring can tell."""

from collections.abc import Sequence

from inspectd.bench.report import GRADCAM, HOST, Proposal
from inspectd.bench.rounds import Numbers, by_round, middle
from inspectd.domain import Precision

AS_GOOD = 0.97  # of the best rate: a smaller batch or fewer threads are then preferred


def fastest(numbers: Numbers) -> tuple[Precision | None, int | None]:
    """The precision with the best rate of all, and the smallest batch that is as good in it; None where unknown.

    One size of batch alone tells nothing of which is best.
    """
    rounds = {line: rates for line, rates in numbers.items() if line.name == GRADCAM}
    if not rounds:
        return None, None
    best = max(rounds, key=lambda line: middle(rounds[line]))
    as_good = [
        line.batch
        for line, rates in rounds.items()
        if line.precision == best.precision and line.batch and _is_as_good(rates, rounds[best])
    ]
    return best.precision, min(as_good) if len({line.batch for line in rounds}) > 1 else None


def threads(numbers: Numbers) -> int | None:
    """The fewest threads with which the host path is as good as with one for each core; None where unknown."""
    rounds = {line.threads: rates for line, rates in numbers.items() if line.name == HOST and line.threads}
    return min((count for count, rates in rounds.items() if _is_as_good(rates, rounds[max(rounds)])), default=None)


def _is_as_good(rates: Sequence[float], best: Sequence[float]) -> bool:
    return middle(by_round(rates, best)) >= AS_GOOD


def propose(numbers: Numbers, *, proven: bool) -> Proposal:
    """The settings for this machine and model.

    Args:
        proven: Whether something proves a precision on this device, so that another one than that of the evaluation
            may be named.
    """
    best, batch = fastest(numbers)
    if best == "int8":
        remark = "int8 is for a model with an int8 part, which `inspectd model quantize` makes."
        return Proposal(batch, threads(numbers), best, remark)
    if best is None or proven:
        return Proposal(batch, threads(numbers), best)
    remark = (
        "The model has no golden images, so that nothing proves it in another precision than that of its evaluation, "
        "which `auto` takes."
    )
    return Proposal(batch, threads(numbers), "auto", remark)
