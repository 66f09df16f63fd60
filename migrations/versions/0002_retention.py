"""Retention: pinned images, files that are still to be removed, and indexes that find the oldest ones."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In place: a table of 20 million rows need not be written anew.
    op.add_column("images", sa.Column("pinned", sa.Boolean, nullable=False, server_default=sa.false()))
    partial_index("images_moved", "images", ["finished_at", "id"], "\"after\" = 'moved'")
    overlaid = "overlay IS NOT NULL AND verdict <> 'review'"
    partial_index("inspections_overlay", "inspections", ["inspected_at", "id"], overlaid)
    op.create_table(
        "removals",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("root", sa.String, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger),
        sa.Column("mtime_ns", sa.BigInteger),
    )


def partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
