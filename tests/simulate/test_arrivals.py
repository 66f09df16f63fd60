"""Every way of arriving ends in what the notes say of it, and no two contents are alike."""

import hashlib
import random
from collections import Counter
from pathlib import Path

import pytest

from inspectd.errors import InspectdError
from inspectd.rehearsal.acts import Acts
from inspectd.rehearsal.album import Album, album_of, own_album
from inspectd.simulate.arrivals import MOST, WAYS, Scene, Way, burst, overwritten_after
from inspectd.simulate.audit import Expected, Notes
from inspectd.simulate.camera import Camera
from inspectd.vision.decode import DecodeError, decode


@pytest.fixture(scope="module")
def album() -> Album:
    return own_album(7)


@pytest.fixture
def scene(tmp_path: Path, album: Album) -> Scene:
    for name in ("incoming", "aside"):
        (tmp_path / name).mkdir()
    return Scene(tmp_path / "incoming", tmp_path / "aside", album, Judge())


class Judge(Notes):
    """Notes for which everything that is whole has its outcome at once."""

    def has_outcome(self, key: tuple[str, str]) -> bool:
        return key in self.whole_at


def play(acts: Acts) -> None:
    """Let every act go on to its end, whatever pauses it wants."""
    now = 0.0
    while acts:
        now += 1.0
        acts.advance(now)


def on_disk(scene: Scene) -> set[tuple[str, str]]:
    files = [path for path in scene.incoming.rglob("*") if path.is_file()]
    return {(str(p.relative_to(scene.incoming)), hashlib.sha256(p.read_bytes()).hexdigest()) for p in files}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_way_leaves_what_it_noted(way: Way, scene: Scene) -> None:
    acts = Acts()
    acts.begin(way(scene), 0.0)
    play(acts)
    staying = {key for key, fate in scene.notes.expected.items() if fate is not Expected.PERHAPS}
    if way is overwritten_after:  # of two images under one name the second lies there
        staying = {list(scene.notes.expected)[-1]}
    assert on_disk(scene) == staying
    assert staying <= set(scene.notes.whole_at)
    assert not list(scene.aside.iterdir())
    assert 1 <= scene.taken == len(scene.notes.expected) <= MOST


def test_broken_off_ways_hold_nothing(scene: Scene) -> None:
    acts = Acts()
    for way in WAYS:
        acts.begin(way(scene), 0.0)
    assert acts
    acts.close()
    assert not acts


def test_every_picture_has_content_of_its_own_and_is_whole_unless_it_is_broken(album: Album) -> None:
    numbers = range(300)
    contents = [make(number)[1] for make in (album.picture, album.truncated, album.no_image) for number in numbers]
    assert len(set(contents)) == len(contents)
    assert decode(album.picture(299)[1], 10**6).doubt is None
    for make in (album.truncated, album.no_image):
        with pytest.raises(DecodeError):
            decode(make(1)[1], 10**6)


def test_a_camera_drops_exactly_what_it_is_told_in_every_way_and_with_bursts(scene: Scene) -> None:
    camera = Camera(scene, 400, 10.0, random.Random(3))
    now, most = 0.0, 0
    while not camera.done or camera.arriving:
        before = scene.taken
        camera.advance(now)
        most = max(most, scene.taken - before)
        now += 1.0
    assert scene.taken == 400
    assert most == 80
    assert set(Counter(scene.notes.expected.values())) == set(Expected)


def test_a_held_camera_drops_nothing(scene: Scene) -> None:
    camera = Camera(scene, 10, 10.0, random.Random(3))
    camera.held = True
    camera.advance(0.0)
    assert scene.taken == 0


def test_a_folder_of_images_serves_as_an_album(scene: Scene, tmp_path: Path) -> None:
    burst(scene, 3)
    for name in ("notes.txt", "._part.png", "0.sync-conflict-20260101-120000-ABCDEFG.png"):
        (scene.incoming / name).write_text("no image")
    album = album_of(scene.incoming)
    suffix, data = album.picture(5)
    assert suffix == ".png"
    assert decode(data, 10**6).pixels.shape == (64, 64, 3)
    for unusable in (tmp_path / "gone", scene.aside):
        with pytest.raises(InspectdError):
            album_of(unusable)
    (scene.incoming / "broken.png").write_bytes(data[:100])
    with pytest.raises(InspectdError, match=r"broken\.png"):
        album_of(scene.incoming)
