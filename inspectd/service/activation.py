"""Models of which another version was made current: noticed, proven by a new worker, told of, or kept out.

A look at what the configured models mean, every second, needs no signal from anybody. One model is tried at a time, so
that a version that cannot be served keeps nothing out but itself. It is tried again when `current` has led elsewhere
meanwhile, or when the configuration is loaded again; until then the version before serves.
"""

from pathlib import Path

from inspectd.errors import BundleError
from inspectd.ledger.write.queue import Queue
from inspectd.model.bundle import resolve
from inspectd.model.versions import history
from inspectd.worker.supervisor import Supervisor, Trial

LOOK = 1.0  # seconds


class Activations:
    """The part of the daemon's loop that brings activated versions into service."""

    def __init__(self, supervisor: Supervisor, queue: Queue) -> None:
        self._supervisor = supervisor
        self._queue = queue
        self._told: dict[Path, str] = {}  # by configured model: the version in service, as the audit trail knows it
        self._trying: tuple[Path, Path] | None = None  # a model, and the bundle that the candidate has for it
        self._refused: dict[Path, Path] = {}  # likewise, the bundles that were not taken
        self._look_at = 0.0

    def tick(self, now: float) -> float:
        """Do what is due; returns when to come again (monotonic seconds)."""
        self._tell()
        if now >= self._look_at:
            self._look_at = now + LOOK
            if self._told and self._supervisor.candidate is None:  # not before the first worker is ready
                self._conclude()
                self._try_next(now)
        return self._look_at

    def _tell(self) -> None:
        """Leave in the audit trail which version came into service, whether activated or with a configuration."""
        if (ready := self._supervisor.ready) is None:
            return
        for model, bundle in self._supervisor.binding.items():
            title = ready.titles[str(bundle)]
            before = self._told.get(model, title)
            if before != title:
                reason = _reason(model, bundle)
                self._queue.event("activation", f"{model.name}: {title} in service, before: {before}{reason}")
            self._told[model] = title  # only now: a ledger that takes nothing is told later

    def _conclude(self) -> None:
        """Remember a bundle whose worker could not serve; one that was overtaken by a reload is tried anew."""
        if self._trying:
            model, bundle = self._trying
            if _subject(model) in self._supervisor.refused:
                self._refused[model] = bundle
            self._trying = None

    def _try_next(self, now: float) -> None:
        """Have the first model that means another bundle now than the one in service proven."""
        for model, in_service in self._supervisor.binding.items():
            bundle = resolve(model)
            if bundle == in_service or bundle != self._refused.get(model):
                self._refused.pop(model, None)
                self._supervisor.refused.pop(_subject(model), None)
            if bundle not in (in_service, self._refused.get(model)):
                self._trying = model, bundle
                trial = Trial("activation", _subject(model), f"{self._told.get(model, in_service)} stays in service")
                self._supervisor.replace(
                    self._supervisor.config, now, trial, {**self._supervisor.binding, model: bundle}
                )
                return


def _subject(model: Path) -> str:
    return f"activation of {model}"


def _reason(model: Path, bundle: Path) -> str:
    """Why the version was made current, as its folder knows it; nothing where it does not."""
    try:
        entries = history(model)
    except BundleError:
        return ""
    if not entries or resolve(model) != bundle:
        return ""
    back = "; a return to the version before" if entries[-1].back else ""
    return back + (f"; reason: {' '.join(entries[-1].reason.split())}" if entries[-1].reason else "")
