"""A mount namespace of the simulation's own, in which a full disk can be laid over a folder and nobody else sees it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENTERED = "INSPECTD_SIMULATE_SPACE"  # set for the program that was started anew in the namespace
PAGES = "16k"  # the smallest tmpfs: its folders cost nothing, its one file takes all


def enter() -> str | None:
    """Start this program anew in a namespace of its own; returns where that is done, or cannot be.

    Returns:
        Why nothing can be mounted; None if it can.
    """
    if os.environ.pop(ENTERED, None):
        return None
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    into = ["unshare", *user, "--mount", "--propagation", "private", "--"]
    refusal = _refusal(into)
    if refusal is None:
        sys.stdout.flush()
        os.environ[ENTERED] = "yes"
        os.execvp(into[0], [*into, sys.executable, "-m", "inspectd", *sys.argv[1:]])
    return refusal


def _refusal(into: list[str]) -> str | None:
    """Why this machine does not let us mount in a namespace, or run there; None if it does."""
    proof = 'mount -t tmpfs tmpfs /mnt && exec "$0" -c ""'
    try:
        tried = subprocess.run([*into, "sh", "-c", proof, sys.executable], capture_output=True, text=True)
    except FileNotFoundError:
        return "this machine has no `unshare`"
    if tried.returncode:
        return f"this machine lets nobody mount: {(tried.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    return None


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """A disk without a free byte over this folder; afterwards the folder is as it was.

    Raises:
        CalledProcessError: it cannot be mounted or unmounted.
    """
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={PAGES}", "tmpfs", str(folder)], check=True)
    try:
        with (folder / "hog").open("wb", buffering=0) as hog:
            try:
                while hog.write(bytes(4096)):
                    pass
            except OSError:
                pass  # full, as it is meant to be
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
