"""The ledger: images, models, inspections, reviews, events, and the view `verdicts`."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.String(24)

# Images with an inspection and images without one, rather than one outer join and a CASE: so a condition on the verdict
# reaches the index on inspections.verdict, and the few images without are found by their state.
VERDICTS = """
CREATE VIEW verdicts AS
SELECT
  inspections.verdict AS verdict,
  images.reason AS reason,
  (SELECT reviews.reviewed_as FROM reviews
    WHERE reviews.image_id = images.id ORDER BY reviews.id DESC LIMIT 1) AS reviewed_as,
  images.watch AS watch,
  images.path AS path,
  images.part AS part,
  inspections.inspected_at AS inspected_at,
  inspections.label AS label,
  inspections.score AS score,
  models.name || '@' || substr(models.bundle, 1, 8) AS model,
  inspections.overlay AS overlay,
  images.sha256 AS sha256
FROM inspections
JOIN images ON images.id = inspections.image_id AND images.inspection_id = inspections.id
JOIN models ON models.id = inspections.model_id
UNION ALL
SELECT
  CASE images.state WHEN 'failed' THEN 'failed' ELSE 'pending' END,
  images.reason,
  (SELECT reviews.reviewed_as FROM reviews
    WHERE reviews.image_id = images.id ORDER BY reviews.id DESC LIMIT 1),
  images.watch,
  images.path,
  images.part,
  images.finished_at,
  NULL,
  NULL,
  NULL,
  NULL,
  images.sha256
FROM images
WHERE images.inspection_id IS NULL
  AND images.state IN ('settling', 'stalled', 'queued', 'claimed', 'failed')
"""


def upgrade() -> None:
    images()
    models()
    inspections()
    reviews()
    events()
    if op.get_context().dialect.supports_alter:  # SQLite has declared it with the table
        op.create_foreign_key(None, "images", "inspections", ["inspection_id"], ["id"])
    op.execute(VERDICTS)


def images() -> None:
    op.create_table(
        "images",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("watch", sa.String, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("ctime_ns", sa.BigInteger, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("part", sa.String),
        sa.Column("fields", sa.JSON, nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("alone", sa.Boolean, nullable=False),
        sa.Column("deaths", sa.Integer, nullable=False),
        sa.Column("lease_owner", sa.String),
        sa.Column("lease_boot", sa.String),
        sa.Column("lease_until", sa.Double),
        sa.Column("finished_at", TIME),
        sa.Column("inspection_id", sa.Integer, sa.ForeignKey("inspections.id", use_alter=True)),
        sa.Column("after", sa.String(8)),
        sa.Column("moved_to", sa.String),
    )
    partial_index("images_open", ["watch", "path"], "state IN ('settling', 'stalled', 'queued')", unique=True)
    partial_index("images_claimed", ["watch", "path"], "state = 'claimed'", unique=True)
    partial_index("images_after", ["id"], "\"after\" = 'pending'")
    op.create_index("images_seen", "images", ["watch", "path", "ctime_ns", "mtime_ns", "size"], unique=True)
    op.create_index("images_state", "images", ["state", "watch", "id"])
    op.create_index("images_finished", "images", ["finished_at", "id"])
    op.create_index("images_part", "images", ["part"])
    op.create_index("images_path", "images", ["path", "watch", "id"])
    op.create_index("images_sha256", "images", ["sha256"])


def partial_index(name: str, columns: list[str], where: str, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, "images", columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def models() -> None:
    op.create_table(
        "models",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("bundle", sa.String(64), nullable=False, unique=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("classes", sa.JSON, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("first_used_at", TIME, nullable=False),
    )


def inspections() -> None:
    op.create_table(
        "inspections",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("image_id", sa.Integer, sa.ForeignKey("images.id"), nullable=False),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("models.id"), nullable=False),
        sa.Column("inspected_at", TIME, nullable=False),
        sa.Column("verdict", sa.String(6), nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("logits", sa.JSON, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("thresholds", sa.JSON, nullable=False),
        sa.Column("overlay", sa.String),
        sa.Column("regions", sa.JSON, nullable=False),
        sa.Column("heat", sa.LargeBinary),
        sa.Column("heat_width", sa.Integer),
        sa.Column("heat_height", sa.Integer),
        sa.Column("heat_max", sa.Double),
        sa.Column("timings", sa.JSON, nullable=False),
        sa.Column("precision", sa.String, nullable=False),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("software", sa.String, nullable=False),
        sa.UniqueConstraint("image_id", "model_id"),
    )
    op.create_index("inspections_at", "inspections", ["inspected_at"])
    op.create_index("inspections_verdict", "inspections", ["verdict", "inspected_at"])


def reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("image_id", sa.Integer, sa.ForeignKey("images.id"), nullable=False),
        sa.Column("reviewed_at", TIME, nullable=False),
        sa.Column("reviewer", sa.String, nullable=False),
        sa.Column("reviewed_as", sa.String, nullable=False),
        sa.Column("note", sa.String),
    )
    op.create_index("reviews_image", "reviews", ["image_id", "id"])


def events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("detail", sa.String, nullable=False),
    )
    op.create_index("events_at", "events", ["at"])
