"""A mount namespace of its own, in which a test makes disks that are full, read-only or gone, and nobody else sees it.

Needs root, or a kernel that lets every user have namespaces. Files in it are reached from outside by `Space.path`,
commands and daemons enter it by `Space.enter`; all mounts end with its keeper, or with the tests should they be killed.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REFUSED = "this machine lets nobody mount"  # as tests/skips.txt lists it
_USER = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
_KEEPER = ["setpriv", "--pdeathsig", "KILL", "unshare", *_USER, "--mount", "--propagation", "private", "--"]


class Space:
    """The namespace, alive until `close`."""

    def __init__(self) -> None:
        if not all(map(shutil.which, ("setpriv", "unshare", "nsenter", "mount"))):
            pytest.skip(REFUSED)
        prove = "mount -t tmpfs tmpfs /mnt && umount /mnt && echo ready && exec cat >/dev/null"
        self._keeper = subprocess.Popen(
            [*_KEEPER, "sh", "-c", prove], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._keeper.stdout
        if self._keeper.stdout.readline() != b"ready\n":
            self.close()
            pytest.skip(REFUSED)

    @property
    def enter(self) -> list[str]:
        """What comes before a command that is to run in here."""
        user = ["--user", "--preserve-credentials"] if _USER else []
        return ["nsenter", "--target", str(self._keeper.pid), "--mount", *user, "--"]

    def run(self, *command: str) -> None:
        """Run a command in here as root; it must succeed."""
        subprocess.run([*self.enter, *command], check=True, capture_output=True)

    def tmpfs(self, folder: Path, options: str) -> None:
        """Mount a tmpfs on a folder, or change one: ``size=1m,nr_inodes=200``, ``remount,ro``, ``remount,size=8m``."""
        self.run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))

    def ext4(self, folder: Path, image: Path) -> str:
        """Mount an ext4 in a file, made if it is not there, on a folder; the name of its device, for `fail`."""
        try:
            if not image.exists():
                with image.open("wb") as file:
                    file.truncate(16 << 20)
                self.run("mkfs.ext4", "-q", str(image))
            self.run("mount", "-o", "loop,errors=remount-ro", str(image), str(folder))
        except subprocess.CalledProcessError:
            pytest.skip(REFUSED)
        found = subprocess.run(
            [*self.enter, "findmnt", "-no", "SOURCE", str(folder)], check=True, capture_output=True, text=True
        )
        return Path(found.stdout.strip()).name

    def fail(self, device: str) -> None:
        """Let an ext4 meet an error of its disk: the kernel makes it read-only, whoever has files open in it."""
        self.run("sh", "-c", f"echo 1 > /sys/fs/ext4/{device}/trigger_fs_error")

    @contextmanager
    def frozen(self, folder: Path) -> Iterator[None]:
        """Within the block whoever writes to an ext4 waits in the kernel, and no signal ends that."""
        self.run("fsfreeze", "--freeze", str(folder))
        try:
            yield
        finally:
            self.run("fsfreeze", "--unfreeze", str(folder))

    def path(self, path: Path) -> Path:
        """How a file in here is called outside."""
        return Path(f"/proc/{self._keeper.pid}/root{path}")

    def close(self) -> None:
        self._keeper.kill()
        self._keeper.wait()
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            if pipe:
                pipe.close()
