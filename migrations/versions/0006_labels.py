"""An index by label, and a view in which the newest come from an index."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# A column has the same affinity in both halves: only then does SQLite look into each of them for an order or a limit.
VERDICTS = """
CREATE VIEW verdicts AS
SELECT
  images.verdict AS verdict,
  images.reason AS reason,
  (SELECT reviews.reviewed_as FROM reviews
    WHERE reviews.image_id = images.id ORDER BY reviews.id DESC LIMIT 1) AS reviewed_as,
  images.watch AS watch,
  images.path AS path,
  images.part AS part,
  images.finished_at AS inspected_at,
  inspections.label AS label,
  inspections.score AS score,
  models.name || '@' || substr(models.bundle, 1, 8) AS model,
  inspections.overlay AS overlay,
  images.sha256 AS sha256
FROM images
LEFT JOIN inspections ON inspections.id = images.inspection_id
LEFT JOIN models ON models.id = inspections.model_id
WHERE images.verdict IS NOT NULL
UNION ALL
SELECT
  CAST('pending' AS VARCHAR),
  images.reason,
  (SELECT reviews.reviewed_as FROM reviews
    WHERE reviews.image_id = images.id ORDER BY reviews.id DESC LIMIT 1),
  images.watch,
  images.path,
  images.part,
  CAST(NULL AS VARCHAR),
  CAST(NULL AS VARCHAR),
  CAST(NULL AS FLOAT),
  NULL || '',
  CAST(NULL AS VARCHAR),
  images.sha256
FROM images
WHERE images.verdict IS NULL
  AND images.state IN ('settling', 'stalled', 'queued', 'claimed')
"""


def upgrade() -> None:
    op.create_index("inspections_label", "inspections", ["label", "image_id", "score"])
    op.execute("DROP VIEW verdicts")
    op.execute(VERDICTS)
