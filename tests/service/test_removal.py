"""Removing files: only regular ones, only below their folder, and never taken for gone while a disk is away."""

from pathlib import Path

import pytest

from inspectd.ledger.records import Removal
from inspectd.service.retention.removal import is_gone, look, remove, tidy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root/day").mkdir(parents=True)
    (tmp_path / "root/day/a.jpg").write_bytes(b"a")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.jpg").write_bytes(b"precious")
    return tmp_path / "root"


def test_a_file_goes_and_its_folder_when_it_is_empty(root: Path) -> None:
    removed = remove([Removal(str(root), "day/a.jpg", id=7), Removal(str(root), "day/none.json", id=8)])
    assert (removed.done, removed.fault) == ([7, 8], None)
    assert list((root / "day").iterdir()) == []
    tidy(removed.folders)
    assert list(root.iterdir()) == []


def test_no_link_is_followed(root: Path) -> None:
    (root / "link").symlink_to("../outside")
    (root / "day/b.jpg").symlink_to("../../outside/a.jpg")
    removed = remove([Removal(str(root), name, id=id) for id, name in enumerate(("link/a.jpg", "../outside/a.jpg"))])
    assert removed.done == []
    assert isinstance(removed.fault, PermissionError)
    assert look(root, root / "link/a.jpg") is None
    assert look(root, root / "day/b.jpg") is None
    remove([Removal(str(root), "day/b.jpg")])
    assert (root / "day/b.jpg").is_symlink()
    assert (root.parent / "outside/a.jpg").read_bytes() == b"precious"


def test_a_folder_of_files_is_no_file(root: Path) -> None:
    assert remove([Removal(str(root), "day", id=7)]).done == [7]
    assert (root / "day/a.jpg").exists()


def test_another_file_under_the_name_of_a_source_image_stays(root: Path) -> None:
    now = (root / "day/a.jpg").stat()
    assert remove([Removal(str(root), "day/a.jpg", now.st_size, now.st_mtime_ns - 1, id=7)]).done == [7]
    assert (root / "day/a.jpg").exists()
    remove([Removal(str(root), "day/a.jpg", now.st_size, now.st_mtime_ns)])
    assert not (root / "day/a.jpg").exists()


def test_a_file_on_a_disk_that_is_away_is_still_to_be_removed(root: Path) -> None:
    away = root.rename(root.with_name("away"))
    due = [Removal(str(root), "day/a.jpg", id=7)]
    assert remove(due).done == []
    root.mkdir()  # where the disk was mounted
    assert remove(due).done == []
    root.rmdir()
    away.rename(root)
    assert remove(due).done == [7]
    assert not (root / "day/a.jpg").exists()


def test_what_is_certainly_gone(root: Path) -> None:
    assert not is_gone(root, root / "day/a.jpg")
    assert is_gone(root, root / "day/b.jpg")
    assert is_gone(root, root / "yesterday/b.jpg")
    (root / "day/a.jpg").unlink()
    assert not is_gone(root, root / "day/a.jpg"), "its folder is empty, as a mount point is"
    (root / "day/.keep").touch()
    assert not is_gone(root, root / "day/a.jpg"), "a mount point may hold that"
    assert not is_gone(root / "other", root / "other/b.jpg")
