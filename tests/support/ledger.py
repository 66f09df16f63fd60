"""A ledger with one image of every outcome, filled through the queue as the daemon fills it."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from inspectd.cli.main import app
from inspectd.domain import Region, Stat, Verdict
from inspectd.ledger.database import open_writer, upgrade
from inspectd.ledger.records import Arrival, Claim, Failed, Inspected, Outcome, Unsettled
from inspectd.ledger.schema import After
from inspectd.ledger.write.queue import Queue
from inspectd.paths import to_text

EVIL = "evil\n\x1b[31m[red]\udce9.png"  # a newline, a terminal escape, markup, and a byte that is no UTF-8
CONFIG = """\
database: sqlite:///inspectd.db
output: output
watch:
  - {name: line-1, path: in1, model: models/demo}
  - {name: line-2, path: in2, model: models/demo, after: move}
"""


@dataclass(frozen=True)
class Ledger:
    """A working folder whose daemon has been at work; `ids` by file name."""

    root: Path
    ids: dict[str, int]

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of one command on this ledger."""
        done = CliRunner().invoke(app, [*arguments, "-c", str(self.config)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.stdout, done.stderr


def judged(claim: Claim, verdict: Verdict, label: str, score: float, reason: str | None = None) -> Inspected:
    hot = (Region(120, 88, 40, 32, 0.95),) if verdict is Verdict.DEFECT else ()
    return Inspected(
        claim=claim,
        sha256=f"{claim.image_id:064x}",
        verdict=verdict,
        label=label,
        logits=(-4.25, 4.25),
        score=score,
        thresholds={"defect": 0.5, "review": -0.5},
        precision="float32",
        device="cpu",
        reason=reason,
        overlay=f"{claim.watch}/2026-11-23/{Path(claim.path).stem}-{claim.image_id}-aaaaaaaa.jpg",
        regions=hot,
        timings={"decode": 1.5, "infer": 31.0},
    )


OUTCOMES: dict[str, Callable[[Claim], Outcome]] = {
    "4711_left.png": lambda claim: judged(claim, Verdict.DEFECT, "crack", 0.983),
    "4711_right.png": lambda claim: judged(claim, Verdict.OK, "good", 0.012),
    "sub/4712.png": lambda claim: judged(claim, Verdict.REVIEW, "crack", 0.5, "may be incomplete: it ends in zeros"),
    "bad.png": lambda claim: Failed(claim, "truncated: the file ends before its image does."),
    "slow.png": lambda claim: Unsettled(claim),
    to_text(EVIL): lambda claim: judged(claim, Verdict.OK, "good", 0.1),
    "moved.png": lambda claim: judged(claim, Verdict.DEFECT, "stain", 0.7),
}


def fill(root: Path) -> Ledger:
    """Lay out a configuration, two watches and their ledger under `root`."""
    (root / "config.yaml").write_text(CONFIG)
    names = {"line-1": list(OUTCOMES)[:5], "line-2": list(OUTCOMES)[5:]}
    for folder in ("in1/sub", "in2", "archive"):
        (root / folder).mkdir(parents=True)
    url = f"sqlite:///{root}/inspectd.db"
    upgrade(url)
    queue = Queue(open_writer(url))
    model = queue.register_model("a" * 64, "demo", 3, ["good", "crack"], {})
    for watch, paths in names.items():
        for path in paths:
            file = root / {"line-1": "in1", "line-2": "in2"}[watch] / path
            file.write_bytes(path.encode())
            part = path[:4] if path[0] == "4" else {"moved.png": "2"}.get(path)
            queue.arrivals.enqueue(watch, [Arrival(path, Stat.of(file.stat()), part, {"station": "7"} if part else {})])
    claims = queue.claims.take("worker", list(names), 50, 60.0)
    queue.outcomes.finish("worker", model, [OUTCOMES[claim.path](claim) for claim in claims], after=["line-2"])
    ids = {claim.path: claim.image_id for claim in claims}
    (root / "in2" / "moved.png").rename(root / "archive" / "moved.png")
    moved_to = str(root / "archive" / "moved.png")
    owed = queue.after.pending(["line-2"], 50)
    queue.after.record([(each, After.MOVED, moved_to) for each in owed if each.path == "moved.png"])
    with sqlite3.connect(root / "inspectd.db") as connection:  # one of them long ago
        for table, column in (("images", "finished_at"), ("inspections", "inspected_at")):
            row = "id" if table == "images" else "image_id"
            connection.execute(
                f"UPDATE {table} SET {column} = '2026-01-15T23:30:00.000Z' WHERE {row} = ?", [ids["sub/4712.png"]]
            )
    return Ledger(root, ids)
