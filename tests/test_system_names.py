"""Which names are a system's own, and which only look like one."""

import pytest

from inspectd.system_names import is_system_name


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "@EADIR", "#recycle", "#snapshot", "@tmp", "@Recycle", "@Recently-Snapshot"),
        *("$RECYCLE.BIN", "$Recycle.Bin", "RECYCLER", "FOUND.000", "found.017", "System Volume Information"),
        *("lost+found", "~snapshot", "__MACOSX", "Thumbs.db", "desktop.ini", "@GMT-2026.01.01-12.00.00"),
        *("~$report.xlsx", "~syncthing~0003.jpg.tmp", "0002.sync-conflict-20260101-120000-ABCDEFG.jpg"),
        *("0003 (conflicted copy 2026-01-01).jpg", "0003 (Jo's conflicted copy 2026-01-01 120000).jpg"),
        *("a_conflict-20260101-120000.jpg", "a_host_Jan-01-120000-2026_Conflict.jpg"),
    ],
)
def test_what_a_system_keeps_for_itself(name: str) -> None:
    assert is_system_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("0001.jpg", "recycle", "@line3", "#7", "snapshot", "found.0001", "FOUND.png", "lost+found.png", "tmp"),
        *("conflict.png", "part_conflict.jpg", "conflicted copy", "sync-conflict.png", "Windows", "~", "$1.png", ""),
        *("@eaDir2", "my#recycle", "recycler.png", "copy of 3 (2).png"),
    ],
)
def test_what_people_name_so_is_theirs(name: str) -> None:
    assert not is_system_name(name)
