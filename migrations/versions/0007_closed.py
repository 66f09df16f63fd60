"""Whether the writer of a file was seen to be done, and when `after` may act on one that may be unfinished."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("closed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("images", sa.Column("after_at", sa.String(24)))
