"""Earlier images that another model judges again, and what a replay of stored logits needs to know."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.String(24)


def upgrade() -> None:
    # In place: a table of 20 million rows need not be written anew.
    op.add_column("inspections", sa.Column("method", sa.String(8)))
    op.create_index("inspections_model", "inspections", ["model_id", "image_id", "verdict"])
    op.add_column("models", sa.Column("ok", sa.JSON))
    op.add_column("models", sa.Column("activation", sa.String(7)))
    op.add_column("models", sa.Column("calibration", sa.JSON))
    op.create_table(
        "reinspections",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("bundle", sa.String(64), nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("judged", sa.Integer, nullable=False),
        sa.Column("openings", sa.Integer, nullable=False),
        sa.Column("finished_at", TIME),
        sa.Column("reason", sa.String),
    )
    op.create_table(
        "reinspection_images",
        sa.Column("reinspection_id", sa.Integer, sa.ForeignKey("reinspections.id"), primary_key=True),
        sa.Column("image_id", sa.Integer, primary_key=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.String),
    )
    waiting = sa.text("reason IS NULL")
    op.create_index(
        "reinspection_images_waiting",
        "reinspection_images",
        ["reinspection_id", "image_id"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_index("reinspection_images_image", "reinspection_images", ["image_id"])
