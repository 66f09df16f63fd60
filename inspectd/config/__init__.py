"""config.yaml: its schema, how it is read, and every mistake in it told in a sentence.

`load` is pure: no folder is created and no model opened. The rest of the program sees only the frozen models.
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
