"""Columns that several questions ask for, and rows that become records by the names of their columns."""

from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Label, func, select

from inspectd.ledger.schema import images, models, reviews

MODEL = models.c.name + "@" + func.substr(models.c.bundle, 1, 8)  # as people name a model: name@hash
REVIEWED_AS = (
    select(reviews.c.reviewed_as)
    .where(reviews.c.image_id == images.c.id)
    .order_by(reviews.c.id.desc())
    .limit(1)
    .scalar_subquery()
)


def columns_of(record: Any, *tables: FromClause, **special: ColumnElement[Any]) -> list[Label[Any]]:
    """One column for each field of a dataclass, in its order and under its name: a row is read as ``record(*row)``.

    Args:
        tables: Where a field without a `special` column is looked up by its name; the first table that has it counts.
        special: Columns and expressions by the name of their field.
    """
    found = special | {
        name: next(table.c[name] for table in tables if name in table.c)
        for name in (field.name for field in fields(record))
        if name not in special
    }
    return [found[field.name].label(field.name) for field in fields(record)]
