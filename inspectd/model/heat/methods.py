"""The ways to explain a decision, by the names that configuration, bundles and the ledger know them by."""

from collections.abc import Callable
from typing import Any

from inspectd.domain import Method
from inspectd.model.heat.gradcam import gradcam
from inspectd.model.heat.hirescam import hirescam
from inspectd.model.heat.layercam import layercam

METHODS: dict[Method, Callable[[Any, Any], Any]] = {"gradcam": gradcam, "layercam": layercam, "hirescam": hirescam}
