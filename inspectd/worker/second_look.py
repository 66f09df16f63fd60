"""Whether a file needs a second look, and whether it may still be unfinished.

No file fails at first sight, and no file that ends in zeros is judged at first sight, because it may still be arriving.
A second look that finds the same in the same bytes is final. Even then the writer may only have paused, for longer than
a verdict can wait. So `after`, which would take the file from its writer, waits longer still.
"""

import logging

from inspectd.ledger.records import VANISHED, Claim, Failed, Outcome, Unsettled, reason_code
from inspectd.worker.judge import Prepared

log = logging.getLogger(__name__)

UNPROVEN = "may be incomplete: it ends in zeros, as a copy does that is not finished"
NO_MEMORY = "no memory: this machine lacked the memory to decode it, and tries again"
# Failures of files that may become whole, or readable, although their writer has closed them: an upload is resumed.
_MENDABLE = ("empty", "truncated", "damaged", "unreadable")


def look_at(image: Prepared, sha256: str) -> Prepared | Unsettled:
    """Returns the image if it can be judged now, or an `Unsettled` that sends the file back for a second look."""
    if image.unproven and not _was_found(image.claim, UNPROVEN, sha256):
        return Unsettled(image.claim, UNPROVEN, sha256)
    return image


def second_look(claim: Claim, reason: str | None, sha256: str | None) -> Outcome:
    """Returns the failure if a first look found the same, or an `Unsettled` that asks for a second look.

    Args:
        reason: Why the file cannot be judged; None if it only changed since it was claimed.
    """
    if reason is None:
        return Unsettled(claim)
    if _was_found(claim, reason, sha256) and reason_code(reason) != VANISHED:
        return Failed(claim, reason, sha256)
    return Unsettled(claim, reason, sha256)


def once_there_is_memory(claim: Claim, sha256: str) -> Unsettled:
    """Returns an `Unsettled`, so that the file is tried again as often as this machine lacks the memory for it.

    This ends, because the decoder refuses a file that is too large for all of the machine's memory.
    """
    log.warning("%s in %s: %s", claim.path, claim.watch, NO_MEMORY)
    return Unsettled(claim, NO_MEMORY, sha256)


def may_be_unfinished(image: Prepared) -> bool:
    """Whether a judged image may only be the part of a file that its writer has written so far."""
    return (image.unproven or image.doubt is not None) and not image.claim.closed


def may_be_mended(failed: Failed) -> bool:
    """Whether a file that could not be judged may still become whole or readable."""
    return reason_code(failed.reason) in _MENDABLE or not failed.claim.closed


def _was_found(claim: Claim, reason: str, sha256: str | None) -> bool:
    """Whether the first look found the same in the same bytes."""
    return claim.reason is not None and (reason_code(claim.reason), claim.sha256) == (reason_code(reason), sha256)
