"""Which bundle each configured model means: found by the supervisor, so that a worker started again judges by the same.

What `current` leads to may change between any two looks. The supervisor looks once for a worker; the worker, and every
later one in its place, gets the very folders that were found.
"""

from collections.abc import Mapping
from pathlib import Path

from inspectd.config import Config
from inspectd.model.bundle import resolve
from inspectd.model.versions import previous

Binding = Mapping[Path, Path]  # `watch[].model` as configured, and the folder of the bundle


def bind(config: Config) -> Binding:
    """What the configured models mean at this moment."""
    return {watch.model: resolve(watch.model) for watch in config.watch}


def earlier(binding: Binding) -> Binding | None:
    """Every model as it was before its last activation; None where nothing is known of one."""
    found = {model: previous(model) or bundle for model, bundle in binding.items()}
    return None if found == binding else found


def bound(config: Config, binding: Binding) -> Config:
    """The configuration with bundles in place of models."""
    watches = [watch.model_copy(update={"model": binding[watch.model]}) for watch in config.watch]
    return config.model_copy(update={"watch": watches})
