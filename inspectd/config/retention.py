"""The section `retention` of config.yaml: which old files and rows are removed, by age and by free space."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from inspectd.config.section import Section
from inspectd.sizes import GB, MB

FREE = r"^(\d{1,2}(\.\d+)? ?%|\d{1,6}(\.\d+)? ?[MGT]B)$"
UNITS = {"%": None, "MB": MB, "GB": GB, "TB": 1000 * GB}


def free_bytes(free: str, total: int) -> int:
    """The bytes that a `free` of the configuration requires on a disk of `total` bytes."""
    unit = next(unit for unit in UNITS if free.endswith(unit))
    number = float(free.removesuffix(unit))
    return int(number * (UNITS[unit] or total / 100))


def _number_as_text(value: Any) -> Any:
    """Reads a number without a unit as text, so that the missing unit is the error."""
    return str(value) if type(value) in (int, float) else value


Days = Annotated[
    Annotated[int, Field(strict=True, ge=1, le=36500)] | None,
    Field(description="Days after the outcome until it is removed; null for never."),
]
Free = Annotated[
    Annotated[str, BeforeValidator(_number_as_text), Field(pattern=FREE)] | None,
    Field(
        description="The space that must stay free on the disk, as 10% or 50 GB; while less is free, the oldest are "
        "removed. null for no such rule."
    ),
]


class FileRule(Section):
    """When files are removed: by age, by free space, or both."""

    days: Days = None
    free: Free = None


class RowRule(Section):
    """When rows of the ledger are removed: by age."""

    days: Days = None


class RetentionSettings(Section):
    """Which old files and rows are removed; without a rule nothing is."""

    overlays: Annotated[FileRule, Field(description="When overlays, and the sidecars beside them, are removed.")] = (
        FileRule()
    )
    sources: Annotated[FileRule, Field(description="When images that `after: move` has put away are removed.")] = (
        FileRule()
    )
    rows: Annotated[
        RowRule, Field(description="When images whose file is gone are removed from the ledger, with their overlays.")
    ] = RowRule()
