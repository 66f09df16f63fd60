"""The camera's files: what it takes, and that every way of arriving ends in the whole file under its name."""

import re
import threading
from pathlib import Path

import pytest

from inspectd.demo.camera import ARRIVALS, FIELDS, run_camera, shots
from inspectd.vision.decode import DecodeError, decode


def test_the_same_seed_takes_the_same_files() -> None:
    assert shots(6, 3) == shots(6, 3)
    assert [shot.data for shot in shots(6, 3)] != [shot.data for shot in shots(6, 4)]


def test_names_are_unique_and_carry_the_part() -> None:
    taken = shots(9, 3)
    parts = [re.search(FIELDS, Path(shot.name).stem) for shot in taken]
    assert all(parts)
    assert len({match["part"] for match in parts if match}) == len(taken) == 11


@pytest.mark.parametrize("pictures", [1, 12])
def test_two_files_are_broken_and_the_others_are_whole(pictures: int) -> None:
    codes = {}
    for shot in shots(pictures, 3):
        if shot.truth != "broken":
            assert decode(shot.data, 10**6).doubt is None
        else:
            with pytest.raises(DecodeError) as error:
                decode(shot.data, 10**6)
            codes[shot.kind] = error.value.code
    assert codes == {"truncated file": "truncated", "no image": "not an image"}


def test_every_file_arrives_whole_whatever_its_way(tmp_path: Path) -> None:
    incoming, aside = tmp_path / "incoming", tmp_path / "aside"
    incoming.mkdir()
    aside.mkdir()
    taken = shots(len(ARRIVALS), 3)
    assert {shot.arrival for shot in taken} == set(ARRIVALS)
    run_camera(taken, incoming, aside, threading.Event())
    assert {path.name: path.read_bytes() for path in incoming.iterdir()} == {shot.name: shot.data for shot in taken}
    assert not list(aside.iterdir())


def test_a_stopped_camera_takes_no_more(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    run_camera(shots(5, 3), tmp_path, tmp_path, stop)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_camera_that_cannot_write_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_camera(shots(1, 3), tmp_path / "gone", tmp_path, threading.Event())
