"""The methods of heat by their names in configuration, bundles and ledger."""

from collections.abc import Callable
from typing import Any

from inspectd.domain import Method
from inspectd.model.heat.gradcam import gradcam
from inspectd.model.heat.hirescam import hirescam
from inspectd.model.heat.layercam import layercam

METHODS: dict[Method, Callable[[Any, Any], Any]] = {"gradcam": gradcam, "layercam": layercam, "hirescam": hirescam}
