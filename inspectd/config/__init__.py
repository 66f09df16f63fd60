"""config.yaml: its schema, how it is read, and a sentence for every mistake in it.

`load` creates no folder and opens no model. The rest of the program sees only the frozen settings.
"""

from inspectd.config.checks import remarks
from inspectd.config.edit import set_worker
from inspectd.config.reading import json_schema, load
from inspectd.config.retention import RetentionSettings, free_bytes
from inspectd.config.schema import Config, LimitSettings, OverlaySettings, Watch, WorkerSettings

__all__ = [
    "Config",
    "LimitSettings",
    "OverlaySettings",
    "RetentionSettings",
    "Watch",
    "WorkerSettings",
    "free_bytes",
    "json_schema",
    "load",
    "remarks",
    "set_worker",
]
