"""How much of a rejection rests on the regions that its overlay shows."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inspections", sa.Column("support", sa.Double))
    op.add_column("inspections", sa.Column("verdict_falls", sa.Boolean))
