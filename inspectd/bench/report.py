"""What a benchmark found, as a table's lines and for JSON. Every figure is a median of rounds that took turns."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from inspectd.bench.rounds import Measurement, Numbers, by_round, middle
from inspectd.domain import Precision

FORWARD, GRADCAM, ARTICLE, VIS = "forward", "forward + Grad-CAM", "the article's way", "tf-keras-vis"
END_TO_END, READY = "end to end", "start to ready"
HOST, HOST_CORE = "host path", "host path, a core"
ENQUEUE, CLAIM = "enqueue", "claim + finish"
FORWARD_BESIDE, ARTICLE_BESIDE = "forward, beside end to end", "the article's way, beside end to end"
LATENCY, NETWORK_BESIDE = "latency when idle", "forward + Grad-CAM, beside latency"

RATE, ROWS, SECONDS, MILLISECONDS = "images/s", "rows/s", "s", "ms"
UNITS = {ENQUEUE: ROWS, READY: SECONDS, LATENCY: MILLISECONDS, NETWORK_BESIDE: MILLISECONDS}

MEANING = {
    FORWARD: "the network alone, one compiled call on a batch of pixels: the limit",
    GRADCAM: "what the worker calls: verdicts, logits and heat of a batch",
    ARTICLE: "`predict`, then a second forward pass with the gradient, one image at a time",
    VIS: "Grad-CAM by tf-keras-vis, heat alone, a batch",
    END_TO_END: "`inspectd run --once`: files on disk to committed verdicts and overlays, from ready to the last one",
    READY: "the same run, from the start of the program to ready",
    HOST: "the worker's way of a batch with the null network in place of the model",
    HOST_CORE: "the same, by processor time instead of wall time",
    ENQUEUE: "rows into the ledger, 500 in a transaction",
    CLAIM: "claim a batch, record its verdicts; no image is touched",
    LATENCY: "a running daemon without work: from the closed file of one image to its committed verdict",
    FORWARD_BESIDE: "as above, in turns with end to end, before and after it",
    ARTICLE_BESIDE: "as above, in turns with end to end",
    NETWORK_BESIDE: "the network alone for one image, in turns with it",
}

# Which lines each is held against.
COMPARED = {
    GRADCAM: (FORWARD, ARTICLE),
    VIS: (ARTICLE,),
    END_TO_END: (FORWARD_BESIDE, ARTICLE_BESIDE),
    LATENCY: (NETWORK_BESIDE,),
}


@dataclass(frozen=True)
class Ratio:
    """How two lines compare, round by round."""

    name: str
    precision: Precision | None
    batch: int | None
    rounds: tuple[float, ...]

    @property
    def value(self) -> float:
        return middle(self.rounds)


@dataclass(frozen=True)
class Proposal:
    """The settings under `worker:` that suit this machine and model. `threads`: None if nothing says which."""

    batch: int | None
    threads: int | None
    precision: str | None
    remark: str | None = None

    @property
    def settings(self) -> dict[str, int | str]:
        """Keys of `worker:` with their values."""
        found = {"batch": self.batch, "threads": self.threads, "precision": self.precision}
        return {key: value for key, value in found.items() if value is not None}


@dataclass(frozen=True)
class BenchReport:
    """The end of a benchmark.

    Attributes:
        machine, model, images: What was measured on, of what, with what.
        left_out: What was not measured, and why, as sentences.
        seconds: How long all of it took.
    """

    machine: dict[str, Any]
    model: dict[str, Any]
    images: dict[str, Any]
    numbers: Numbers
    proposal: Proposal
    left_out: tuple[str, ...]
    seconds: float
    ratios: tuple[Ratio, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratios", tuple(compare(self.numbers)))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "machine": self.machine,
            "model": self.model,
            "images": self.images,
            "lines": [
                {**asdict(line), "unit": unit(line), "median": _short(middle(rounds)), "rounds": _all(rounds)}
                for line, rounds in self.numbers.items()
            ],
            "ratios": [
                {
                    "name": ratio.name,
                    "precision": ratio.precision,
                    "batch": ratio.batch,
                    "median": _short(ratio.value),
                    "rounds": _all(ratio.rounds),
                }
                for ratio in self.ratios
            ],
            "proposal": asdict(self.proposal),
            "left_out": list(self.left_out),
            "seconds": round(self.seconds, 1),
        }


def unit(line: Measurement) -> str:
    return UNITS.get(line.name, RATE)


def compare(numbers: Numbers) -> list[Ratio]:
    """Every ratio that the lines allow, between lines that were measured in the same rounds."""
    ratios = []
    for line, rounds in numbers.items():
        for below in COMPARED.get(line.name, ()):
            other = numbers.get(_partner(line, below))
            if other:
                name = f"{line.name} / {below}"
                ratios.append(Ratio(name, line.precision, line.batch, by_round(rounds, other)))
    return ratios


def _partner(line: Measurement, name: str) -> Measurement:
    """The line of that name that this one is held against: of the same settings, or the one that has no choice."""
    if name in (ARTICLE, ARTICLE_BESIDE):
        return Measurement(name, "float32", 1)
    return Measurement(name, line.precision, line.batch)


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _all(values: Sequence[float]) -> list[float]:
    return [_short(value) for value in values]
