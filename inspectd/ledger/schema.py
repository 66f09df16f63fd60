"""The tables of the ledger, as typed SQLAlchemy models.

SQL and types are portable, so that the same models serve SQLite and PostgreSQL. Times are UTC ISO-8601 text with
milliseconds (``2026-11-23T15:28:34.123Z``), which sorts by time. `migrations/` creates these tables; a test holds the
two equal.
"""

from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, UniqueConstraint, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class State(StrEnum):
    """The state of an image. `settling`, `stalled`, `queued` and `claimed` are *pending* in the view `verdicts`."""

    SETTLING = "settling"  # put back by a worker: it changed while it was read, or needs a second look
    STALLED = "stalled"  # not whole after `limits.stalled` seconds; still watched
    QUEUED = "queued"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"


class After(StrEnum):
    """What became of the source file after its outcome; NULL if the watch keeps its files."""

    PENDING = "pending"
    MOVED = "moved"
    DELETED = "deleted"
    EXPIRED = "expired"  # moved, and removed by retention since
    KEPT = "kept"  # the rule does not apply to this outcome, or another file lay there


OPEN_STATES = (State.SETTLING, State.STALLED, State.QUEUED)
FINISHED_STATES = (State.DONE, State.FAILED)
REVISION = "0009"  # the newest file of migrations/versions; four digits, so that "newer than" is an order of texts
_OPEN = text("state IN ('settling', 'stalled', 'queued')")
_CLAIMED = text("state = 'claimed'")
_AFTER_PENDING = text("\"after\" = 'pending'")
_MOVED = text("\"after\" = 'moved'")
_WAITING = text("reason IS NULL")
_PENDING = text("state IN ('settling', 'stalled', 'queued', 'claimed')")
_FINISHED = text("verdict IS NOT NULL")
_PART = text("part IS NOT NULL")
_READ = text("sha256 IS NOT NULL")
_OVERLAID = text("overlay IS NOT NULL AND verdict <> 'review'")
# Without this SQLite uses the highest id again once its row is gone. Claims, file names and the feed rely on an id that
# means one row for ever.
_IDS_ONCE = {"sqlite_autoincrement": True}


class Base(DeclarativeBase):
    """The declarative base of every ledger table."""


class Image(Base):
    """One content under one name in one watch, and its outcome."""

    __tablename__ = "images"
    __table_args__ = (
        Index("images_seen", "watch", "path", "ctime_ns", "mtime_ns", "size", unique=True),
        # PostgreSQL's conditions stand in the migration alone: naming them here imports its dialect into every command.
        Index("images_open", "watch", "path", unique=True, sqlite_where=_OPEN),
        Index("images_state", "state", "watch", "id", sqlite_where=_PENDING),
        Index("images_claimed", "watch", "path", unique=True, sqlite_where=_CLAIMED),
        Index("images_after", "id", sqlite_where=_AFTER_PENDING),
        Index("images_moved", "finished_at", "id", sqlite_where=_MOVED),
        Index("images_finished", "finished_at", "id", "watch", "verdict", "inspection_id", sqlite_where=_FINISHED),
        Index("images_verdict", "verdict", "finished_at", "id", sqlite_where=_FINISHED),
        Index("images_watch", "watch", "verdict", "finished_at", "id", sqlite_where=_FINISHED),
        Index("images_part", "part", sqlite_where=_PART),
        Index("images_path", "path", "watch", "id"),
        Index("images_sha256", "sha256", sqlite_where=_READ),
        _IDS_ONCE,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    watch: Mapped[str]
    path: Mapped[str]  # relative to the watch's folder, as inspectd.paths.to_text writes it
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    ctime_ns: Mapped[int] = mapped_column(BigInteger)
    seen_at: Mapped[str] = mapped_column(String(24))
    part: Mapped[str | None]
    fields: Mapped[dict[str, str]] = mapped_column(JSON)
    sha256: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(8))
    reason: Mapped[str | None]  # "code: sentence": why it failed, waits or is for review; and the page, of several
    attempt: Mapped[int] = mapped_column(default=0)  # claims so far; the fencing token of the lease
    alone: Mapped[bool] = mapped_column(default=False)  # a worker died holding it: claim it without others
    deaths: Mapped[int] = mapped_column(default=0)  # of workers that held only this image
    lease_owner: Mapped[str | None]
    lease_boot: Mapped[str | None]
    lease_until: Mapped[float | None]  # seconds on the clock of boot `lease_boot`
    finished_at: Mapped[str | None] = mapped_column(String(24))
    inspection_id: Mapped[int | None] = mapped_column(ForeignKey("inspections.id", use_alter=True))
    after: Mapped[str | None] = mapped_column(String(8))
    moved_to: Mapped[str | None]
    pinned: Mapped[bool] = mapped_column(default=False, server_default=false())  # never removed by retention
    verdict: Mapped[str | None] = mapped_column(String(6))  # in force, or "failed"; NULL while it has no outcome
    closed: Mapped[bool] = mapped_column(default=False, server_default=false())  # the writer was seen to close the file
    after_at: Mapped[str | None] = mapped_column(String(24))  # earliest time of `after`, if the file may be unfinished


class Model(Base):
    """A bundle that has judged images here, by its identity."""

    __tablename__ = "models"

    id: Mapped[int] = mapped_column(primary_key=True)
    bundle: Mapped[str] = mapped_column(String(64), unique=True)  # sha256 of the manifest
    name: Mapped[str]
    version: Mapped[int]
    classes: Mapped[list[str]] = mapped_column(JSON)
    metrics: Mapped[dict[str, Any]] = mapped_column(JSON)
    first_used_at: Mapped[str] = mapped_column(String(24))
    # What a replay of stored logits needs besides the thresholds; NULL if only an older version used the model.
    ok: Mapped[list[bool] | None] = mapped_column(JSON(none_as_null=True))  # by class, in the order of `classes`
    activation: Mapped[str | None] = mapped_column(String(7))  # softmax, sigmoid
    calibration: Mapped[dict[str, float] | None] = mapped_column(JSON(none_as_null=True))  # offset, temperature


class Inspection(Base):
    """One verdict of one bundle on one image, with everything needed to explain or replay it."""

    __tablename__ = "inspections"
    __table_args__ = (
        UniqueConstraint("image_id", "model_id"),
        Index("inspections_at", "inspected_at"),
        Index("inspections_overlay", "inspected_at", "id", sqlite_where=_OVERLAID),
        Index("inspections_model", "model_id", "image_id", "verdict"),  # two models side by side, from it alone
        Index("inspections_label", "label", "image_id", "score"),
        _IDS_ONCE,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    inspected_at: Mapped[str] = mapped_column(String(24))
    verdict: Mapped[str] = mapped_column(String(6))
    label: Mapped[str]
    logits: Mapped[list[float]] = mapped_column(JSON)  # float32, one per output of the network
    score: Mapped[float]  # calibrated probability of a defect, 0..1
    thresholds: Mapped[dict[str, float]] = mapped_column(JSON)  # in force then; logits
    overlay: Mapped[str | None]  # relative to the configured `output`
    regions: Mapped[list[dict[str, float]]] = mapped_column(JSON)  # x, y, width, height in original pixels; peak 0..1
    heat: Mapped[bytes | None] = mapped_column(LargeBinary)  # uint8, row by row, 255 = heat_max
    heat_width: Mapped[int | None]
    heat_height: Mapped[int | None]
    heat_max: Mapped[float | None]
    timings: Mapped[dict[str, float]] = mapped_column(JSON)  # milliseconds by stage
    precision: Mapped[str]
    device: Mapped[str]
    software: Mapped[str]
    method: Mapped[str | None] = mapped_column(String(8))  # of the heat: gradcam, layercam, hirescam
    page: Mapped[int | None]  # of several, the worst, which decides and which the overlay shows; from 1 on
    support: Mapped[float | None]  # of a rejection: the share of the margin that goes when its regions are erased
    verdict_falls: Mapped[bool | None]  # whether it is no longer rejected then


class Review(Base):
    """A person's review of an image. The newest review of an image is in force."""

    __tablename__ = "reviews"
    __table_args__ = (Index("reviews_image", "image_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    reviewed_at: Mapped[str] = mapped_column(String(24))
    reviewer: Mapped[str]
    reviewed_as: Mapped[str]
    note: Mapped[str | None]


class Event(Base):
    """A row of the audit trail: starts, stops, reloads, activations, and what else an operator may ask about later."""

    __tablename__ = "events"
    __table_args__ = (Index("events_at", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[str] = mapped_column(String(24))
    kind: Mapped[str]
    detail: Mapped[str]


class RemovalRow(Base):
    """A file that the ledger has let go of and that is still to be removed from the disk."""

    __tablename__ = "removals"
    __table_args__ = _IDS_ONCE

    id: Mapped[int] = mapped_column(primary_key=True)
    root: Mapped[str]  # the folder that the file must lie in, absolute; like `path` as inspectd.paths.to_text writes it
    path: Mapped[str]  # relative to `root`
    size: Mapped[int | None] = mapped_column(BigInteger)  # with mtime_ns, of a source image: only the very file goes
    mtime_ns: Mapped[int | None] = mapped_column(BigInteger)


class RedrawRow(Base):
    """A verdict whose overlay is to be drawn again. Not a reference: the verdict may be gone before it is its turn."""

    __tablename__ = "redraws"

    inspection_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Reinspection(Base):
    """One request that a model judge earlier images again; open until `finished_at`."""

    __tablename__ = "reinspections"

    id: Mapped[int] = mapped_column(primary_key=True)
    bundle: Mapped[str] = mapped_column(String(64))  # its identity when it was asked for
    path: Mapped[str]  # the folder it lies in, absolute; like `images.path` as inspectd.paths.to_text writes it
    requested_at: Mapped[str] = mapped_column(String(24))
    judged: Mapped[int] = mapped_column(default=0)  # how many images so far
    openings: Mapped[int] = mapped_column(default=0)  # by workers, since the model last judged an image
    finished_at: Mapped[str | None] = mapped_column(String(24))
    reason: Mapped[str | None]  # why the model cannot be used; for all images that had not been judged by then


class ReinspectionImage(Base):
    """An earlier image that is to be judged again, or could not be. No foreign key: retention may remove the image."""

    __tablename__ = "reinspection_images"
    __table_args__ = (
        Index("reinspection_images_waiting", "reinspection_id", "image_id", sqlite_where=_WAITING),
        Index("reinspection_images_image", "image_id"),
    )

    reinspection_id: Mapped[int] = mapped_column(ForeignKey("reinspections.id"), primary_key=True)
    image_id: Mapped[int] = mapped_column(primary_key=True)
    attempts: Mapped[int] = mapped_column(default=0)  # counted before the work: an image that kills workers is given up
    reason: Mapped[str | None]  # "code: sentence"; why it cannot be judged again


# The same tables for statements on many rows, which need no mapped objects.
images, models, inspections, reviews, events, removals, redraws, reinspections, reinspection_images = (
    Base.metadata.tables[entity.__tablename__]
    for entity in (
        *(Image, Model, Inspection, Review, Event, RemovalRow, RedrawRow),
        *(Reinspection, ReinspectionImage),
    )
)
