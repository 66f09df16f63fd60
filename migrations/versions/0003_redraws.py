"""Verdicts whose overlay is to be drawn again."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("redraws", sa.Column("inspection_id", sa.Integer, primary_key=True, autoincrement=False))
