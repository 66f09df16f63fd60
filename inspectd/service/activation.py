"""Brings activated versions of models into service: notices them, has a new worker prove them, records or refuses them.

It checks every second which bundles the configured models mean, so it needs no signal. It tries one model at a time,
so a version that cannot be served only keeps itself out. It tries such a version again when `current` has led
elsewhere meanwhile, or when the configuration is loaded again; until then the earlier version serves.
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
        self._told: dict[Path, str] = {}  # by configured model: the version in service that the audit trail knows
        self._trying: tuple[Path, Path] | None = None  # a model, and the bundle that the candidate has for it
        self._refused: dict[Path, Path] = {}  # by configured model: the bundle that was refused
        self._look_at = 0.0

    def tick(self, now: float) -> float:
        """Does what is due; returns when to call again (monotonic seconds)."""
        self._tell()
        if now >= self._look_at:
            self._look_at = now + LOOK
            if self._told and self._supervisor.candidate is None:  # not before the first worker is ready
                self._conclude()
                self._try_next(now)
        return self._look_at

    def _tell(self) -> None:
        """Records in the audit trail which version came into service, by activation or with a configuration."""
        if (ready := self._supervisor.ready) is None:
            return
        for model, bundle in self._supervisor.binding.items():
            title = ready.titles[str(bundle)]
            before = self._told.get(model, title)
            if before != title:
                reason = _reason(model, bundle)
                self._queue.event("activation", f"{model.name}: {title} in service, before: {before}{reason}")
            self._told[model] = title  # only now: if the ledger refused, it is recorded later

    def _conclude(self) -> None:
        """Remembers a bundle whose worker could not serve; a bundle that a reload interrupted is tried again."""
        if self._trying:
            model, bundle = self._trying
            if _subject(model) in self._supervisor.refused:
                self._refused[model] = bundle
            self._trying = None

    def _try_next(self, now: float) -> None:
        """Has a new worker prove the first model that now means another bundle than the one in service."""
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
    """Why the version was made current, from the folder's history; empty if the history does not say."""
    try:
        entries = history(model)
    except BundleError:
        return ""
    if not entries or resolve(model) != bundle:
        return ""
    back = "; a return to the version before" if entries[-1].back else ""
    return back + (f"; reason: {' '.join(entries[-1].reason.split())}" if entries[-1].reason else "")
