"""The ways to explain a decision, by the names that configuration, bundles and the ledger know them by."""

from collections.abc import Callable
from typing import Any

from inspectd.model.gradcam import gradcam
from inspectd.model.hirescam import hirescam
from inspectd.model.layercam import layercam
from inspectd.model.spec import Method

METHODS: dict[Method, Callable[[Any, Any], Any]] = {"gradcam": gradcam, "layercam": layercam, "hirescam": hirescam}
