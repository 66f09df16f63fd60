"""One supervisor a folder, also when the folder is made anew under its name."""

from pathlib import Path

import pytest

from inspectd.errors import InspectdError
from inspectd.service.locks import Locks


def test_a_folder_made_anew_is_locked_anew(tmp_path: Path) -> None:
    folder = tmp_path / "incoming"
    folder.mkdir()
    ours, theirs = Locks(), Locks()
    ours.take([folder], "watch")
    with pytest.raises(InspectdError, match="another inspectd"):
        theirs.take([folder], "watch")
    folder.rename(tmp_path / "old")
    folder.mkdir()
    ours.take([folder], "watch")
    with pytest.raises(InspectdError, match="another inspectd"):
        theirs.take([folder], "watch")
    theirs.take([tmp_path / "old"], "watch")
    ours.keep([])
    theirs.take([folder], "watch")


def test_a_folder_that_is_missing_is_locked_once_it_is_there(tmp_path: Path) -> None:
    ours = Locks()
    ours.take([tmp_path / "later"], "watch")
    (tmp_path / "later").mkdir()
    ours.take([tmp_path / "later"], "watch")
    with pytest.raises(InspectdError):
        Locks().take([tmp_path / "later"], "watch")
