"""Ids of images, inspections and removals that are given once, even when the row with the highest id is gone; and
whether the writer of a file was seen to be done, and when `after` may act on a file that may be unfinished."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("closed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("images", sa.Column("after_at", sa.String(24)))
    if op.get_bind().dialect.name != "sqlite":
        return  # sequences of other databases never go back
    # SQLite renames a table only while every view is sound, and this one names a table that is gone for a moment.
    view = op.get_bind().scalar(sa.text("SELECT sql FROM sqlite_master WHERE name = 'verdicts'"))
    op.execute("DROP VIEW verdicts")
    for table in ("images", "inspections", "removals"):
        with op.batch_alter_table(table, recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass  # SQLite cannot add AUTOINCREMENT in place: the rows are copied into a new table
    op.execute(sa.text(view))
