"""Which bundle each configured model means.

The supervisor finds the bundles once, because `current` may lead elsewhere between two looks. Every worker that it
starts gets the folders of this binding, so a worker that replaces another one judges by the same bundles. It is apart
from `models` because the supervisor opens no network.
"""

from collections.abc import Mapping
from pathlib import Path

from inspectd.config import Config
from inspectd.model.bundle import resolve
from inspectd.model.versions import previous

Binding = Mapping[Path, Path]  # `watch[].model` as configured, and the folder of the bundle


def bind(config: Config) -> Binding:
    """Finds the bundle that each configured model means at this moment."""
    return {watch.model: resolve(watch.model) for watch in config.watch}


def earlier(binding: Binding) -> Binding | None:
    """Returns every model as it was before its last activation; None if there was no earlier version of any."""
    found = {model: previous(model) or bundle for model, bundle in binding.items()}
    return None if found == binding else found


def bound(config: Config, binding: Binding) -> Config:
    """Returns the configuration with bundles in place of models."""
    watches = [watch.model_copy(update={"model": binding[watch.model]}) for watch in config.watch]
    return config.model_copy(update={"watch": watches})
