"""Which file system a path lies on, and whether other machines may share it."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_MOUNTINFO = Path("/proc/self/mountinfo")
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|smb3|ncpfs|afs|9p|ceph|glusterfs|lustre|gpfs|beegfs|ocfs2|gfs2|vboxsf|vmhgfs|prl_fs"
    r"|fuse\.(sshfs|glusterfs|ceph.*|davfs2?|rclone|s3fs|gvfsd-fuse|smbnetfs|vmhgfs-fuse|juicefs|mount-s3)|davfs|coda"
)


def is_network(kind: str) -> bool:
    """Whether a file system of this type may be shared with other machines."""
    return _NETWORK.fullmatch(kind) is not None


def mountinfo() -> str:
    """The mounts that this process sees: the text that `file_system` and `mount_of` take."""
    return _MOUNTINFO.read_text(errors="surrogateescape")


@dataclass(frozen=True)
class Mount:
    """A mounted file system: its mount point and its type."""

    point: Path
    kind: str


def mount_of(folder: Path, mounts: str) -> Mount:
    """The mount that an absolute folder is on, from the text of /proc/self/mountinfo (proc(5))."""
    kinds = _kinds(mounts)
    point = next((parent for parent in (folder, *folder.parents) if str(parent) in kinds), None)
    return Mount(Path("/"), "") if point is None else Mount(point, kinds[str(point)])


@lru_cache(maxsize=1)  # a daemon with many watches asks often, and the table hardly ever changes
def _kinds(mounts: str) -> dict[str, str]:
    """The type of each file system by its mount point; a later mount covers an earlier one."""
    kinds = {}
    for line in mounts.splitlines():
        mount, _, source = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), mount.split(" ")[4])
        kinds[point] = source.split(" ")[0]
    return kinds


def file_system(folder: Path, mounts: str) -> str:
    """The type of the file system that an absolute folder is on, with the text of /proc/self/mountinfo."""
    return mount_of(folder, mounts).kind
