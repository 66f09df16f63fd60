"""Names that a NAS, an operating system or a synchronising program gives to what it keeps among people's files.

Such folders hold thumbnails, deleted files and old versions; such files are second copies of a file that two machines
changed. None of them is a picture that a camera dropped, and none is an example of a class. Upper and lower case are
the same, because Windows shares do not keep them apart. Names that begin with a dot are not listed here: they are
hidden, and every walk passes them over anyway.
"""

import re

_NAMES = {
    *("@eadir", "#recycle", "#snapshot", "@tmp", "@sharebin"),  # Synology, and others that copied it
    *("@recycle", "@recently-snapshot", "@transcode"),  # QNAP
    *("$recycle.bin", "recycler", "recycled", "system volume information"),  # Windows
    *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),
    *("__macosx", "network trash folder", "temporary items"),  # macOS, and zip files that were made there
    *("lost+found", "~snapshot", "trashbox"),  # ext file systems, NetApp, Buffalo
}
_PATTERNS = re.compile(
    r"""
    found\.\d{3}                                      # chkdsk: fragments that it found
    | @gmt-\d{4}\.\d\d\.\d\d-\d\d\.\d\d\.\d\d         # Samba and Windows: an earlier version of a folder
    | ~\$.* | ~syncthing~.*                           # an office program's lock, Syncthing's file in transit
    | .*\.sync-conflict-\d{8}-\d{6}.*                 # Syncthing: "a.sync-conflict-20260101-120000-ABCDEFG.jpg"
    | .*\(.*conflicted\ copy.*\).*                    # Dropbox, Nextcloud: "a (Jo's conflicted copy 2026-01-01).jpg"
    | .*_conflict-\d{8}-\d{6}.*                       # ownCloud: "a_conflict-20260101-120000.jpg"
    | .*_[a-z]{3}-\d\d-\d{4,6}-\d{4}_(case)?conflict(\..*)?   # Synology Drive: "a_host_Jan-01-120000-2026_Conflict.jpg"
    """,
    re.VERBOSE | re.DOTALL,
)


def is_system_name(name: str) -> bool:
    """Whether the name of a file or folder (one component of a path) is one that a system keeps for itself."""
    lower = name.lower()
    return lower in _NAMES or _PATTERNS.fullmatch(lower) is not None
