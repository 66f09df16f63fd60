"""Which faults a simulation makes, how many of each, and in which order."""

import random
from dataclasses import dataclass

from inspectd.simulate.faults import OTHERS, Fault, disk_full, kill_supervisor, kill_worker, worker_hung

SUPERVISOR_SHARE = 5  # one of so many kills is the supervisor's
EVERY_FAULT = 300  # files from which on a run makes every kind of fault
ROUND = 2500  # files for each further round of the others than kills
HANGS = 2  # rounds for each hang, which takes half a minute


@dataclass(frozen=True)
class SimulationOptions:
    """What a simulation is to do: `count` files, `rate` of them a second; some faults drop files of their own."""

    count: int
    rate: float
    kills: int
    seed: int
    no_disk: str | None = None  # why no disk can be made full


def plan(options: SimulationOptions, rng: random.Random) -> tuple[list[Fault], dict[str, str]]:
    """The faults in their order, and by name those that are not made, with the reason."""
    supervisors = options.kills // SUPERVISOR_SHARE or min(1, options.kills // 2)
    rounds = max(1, options.count // ROUND)
    amounts: dict[Fault, int] = dict.fromkeys(OTHERS, rounds) | {worker_hung: max(1, rounds // HANGS)}
    not_made: dict[str, str] = {}
    if options.count < EVERY_FAULT:
        not_made = {fault.__name__: f"made from {EVERY_FAULT} files on" for fault in amounts}
    elif options.no_disk:
        not_made = {disk_full.__name__: options.no_disk}
    amounts |= {kill_supervisor: supervisors, kill_worker: options.kills - supervisors}
    faults = [fault for fault, amount in amounts.items() if fault.__name__ not in not_made for _ in range(amount)]
    rng.shuffle(faults)
    return faults, not_made
