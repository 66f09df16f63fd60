"""Pins: images that a person has marked to be kept. Retention never removes them."""

from sqlalchemy import Engine, update

from inspectd.ledger import trail
from inspectd.ledger.schema import images


def pin(engine: Engine, image_id: int, *, pinned: bool, detail: str) -> bool:
    """Pin or unpin an image, with a row in the audit trail; returns False if nothing changed."""
    change = update(images).where(images.c.id == image_id, images.c.pinned != pinned).values(pinned=pinned)
    with engine.begin() as connection:
        changed = connection.execute(change).rowcount > 0
        if changed:
            trail.write(connection, "pin" if pinned else "unpin", detail)
    return changed
