"""A folder of versions: numbers that nobody shares, a link that always leads to one of them, and the way back."""

import os
import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from inspectd.errors import BundleError
from inspectd.model.bundle import load_bundle, read_bundle, resolve
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import Spec, Thresholds
from inspectd.model.versions import activate, current, history, name_of, publish, refuse_unfit, rollback, versions


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return write_null_bundle(tmp_path / "plain", "cracks").spec


@pytest.fixture
def folder(tmp_path: Path, spec: Spec) -> Path:
    """Three versions, the first of them current."""
    folder = tmp_path / "models" / "cracks"
    for number in range(3):
        publish(folder, replace(spec, thresholds=Thresholds(float(number))), {"card.md": b"# A card"})
    return folder


def forked(work: Callable[[], object]) -> int:
    """A process that does this work and nothing else; its id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def test_versions_are_numbered_and_the_first_is_current(folder: Path) -> None:
    assert versions(folder) == [1, 2, 3]
    assert [load_bundle(folder / str(number)).spec.version for number in versions(folder)] == [1, 2, 3]
    assert current(folder) == 1
    assert (folder / "current").readlink() == Path("1")


@pytest.mark.parametrize("name", ["x" * 129, "\udce9clat"])
def test_a_name_that_no_model_can_have_is_refused_before_the_work(name: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="1 to 128 characters in UTF-8"):
        refuse_unfit(tmp_path / name)


def test_a_model_is_called_as_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cracks" / "1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "cracks" / "1")
    assert [name_of(Path(place)) for place in ("..", tmp_path / "cracks")] == ["cracks", "cracks"]
    monkeypatch.chdir(tmp_path / "cracks")
    assert name_of(Path()) == "cracks"


def test_a_model_is_a_bundle_or_a_folder_of_versions(folder: Path, tmp_path: Path) -> None:
    assert resolve(folder) == folder / "1"
    assert load_bundle(folder) == load_bundle(folder / "1") == load_bundle(folder / "current")
    assert resolve(folder / "2") == load_bundle(folder / "2").path == folder / "2"
    assert resolve(tmp_path / "plain") == load_bundle(tmp_path / "plain").path == tmp_path / "plain"
    (tmp_path / "elsewhere").symlink_to(folder)
    assert resolve(tmp_path / "elsewhere") == folder / "1"


def test_a_version_shares_what_it_has_from_another(folder: Path) -> None:
    base = load_bundle(folder / "1")
    tuned = publish(folder, replace(base.spec, thresholds=Thresholds(7.0)), {}, base)
    assert (tuned.path, tuned.spec.version) == (folder / "4", 4)
    assert (tuned.path / "card.md").samefile(base.path / "card.md")
    assert current(folder) == 1


def test_activation_and_return(folder: Path) -> None:
    assert activate(folder, 2, "fewer escapes").spec.version == 2
    activate(folder, 3)
    activate(folder, 3, "said twice")
    assert resolve(folder) == folder / "3"
    assert [(entry.version, entry.reason) for entry in history(folder)] == [(1, ""), (2, "fewer escapes"), (3, "")]
    assert rollback(folder, "too many overkills").spec.version == 2
    assert current(folder) == 2
    assert rollback(folder).spec.version == 1
    with pytest.raises(BundleError, match="no other version was current before"):
        rollback(folder)
    assert [entry.version for entry in history(folder) if entry.back] == [2, 1]
    activate(folder, 3)
    assert rollback(folder).spec.version == 1, "what was taken back is not gone through again"


def test_a_return_passes_over_a_version_that_is_gone(folder: Path) -> None:
    activate(folder, 2)
    activate(folder, 3)
    shutil.rmtree(folder / "2")
    assert rollback(folder).spec.version == 1


def test_a_link_set_by_hand_is_the_truth(folder: Path) -> None:
    activate(folder, 2)
    (folder / "current").unlink()
    (folder / "current").symlink_to("3")
    assert [entry.version for entry in history(folder)] == [1, 2, 3]
    assert rollback(folder).spec.version == 2


def test_an_activation_that_died_before_the_link_was_set_never_happened(folder: Path) -> None:
    activate(folder, 2)
    activate(folder, 3)
    (folder / "current").unlink()
    (folder / "current").symlink_to("2")
    assert [entry.version for entry in history(folder)] == [1, 2]
    assert rollback(folder).spec.version == 1


@pytest.mark.parametrize("content", ["junk", '{"version": 2}', "[3]", ""])
def test_a_damaged_history_is_a_sentence(content: str, folder: Path) -> None:
    (folder / "activations.json").write_text(content)
    with pytest.raises(
        BundleError, match=r"^\S+activations\.json cannot be read: it is not a list of activations\. Remove"
    ):
        rollback(folder)


def test_a_model_that_was_copied_without_its_links_is_said(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("copied"))
    with pytest.raises(BundleError, match=r"copied/current is a folder instead of a link: .* Remove it\."):
        activate(folder.with_name("copied"), 2)
    assert history(folder.with_name("copied")) == []


def test_what_is_damaged_or_not_there_is_not_made_current(folder: Path) -> None:
    (folder / "2" / "card.md").write_bytes(b"# another")
    with pytest.raises(BundleError, match="not what was evaluated"):
        activate(folder, 2)
    with pytest.raises(BundleError, match="has no version 7: it has 1, 2, 3"):
        activate(folder, 7)
    (folder / "3").rename(folder / "4")
    with pytest.raises(BundleError, match="says that it is version 3"):
        activate(folder, 4)
    assert current(folder) == 1
    assert read_bundle(folder / "2").spec.version == 2, "a list still names it"


def test_a_folder_without_a_current_version_says_what_to_do(folder: Path) -> None:
    (folder / "current").unlink()
    with pytest.raises(BundleError, match=r"none of its versions is current\. .*`inspectd model activate"):
        load_bundle(folder)
    (folder / "current").symlink_to("9")
    with pytest.raises(BundleError, match=r"cracks/9 is not a model bundle: there is no such folder"):
        load_bundle(folder)


def test_a_place_that_is_something_else_is_refused(tmp_path: Path, spec: Spec) -> None:
    for place, sentence in (
        (tmp_path / "plain", "is a bundle itself"),
        (tmp_path, "holds plain"),
        ("file", "not a folder"),
    ):
        path = tmp_path / place
        if place == "file":
            path.write_text("")
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(BundleError, match=sentence):
            refuse_unfit(path)
        with pytest.raises(BundleError, match=sentence):
            publish(path, spec, {})
        assert sorted(tmp_path.rglob("*")) == before


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, spec: Spec) -> None:
    with pytest.raises(BundleError, match="could not be written"):
        publish(tmp_path / "new", spec, {"model.keras": tmp_path / "missing"})
    assert list((tmp_path / "new").iterdir()) == []


def test_writers_at_once_never_share_a_number(tmp_path: Path, spec: Spec) -> None:
    folder = tmp_path / "models" / "cracks"
    writers = [
        forked(lambda writer=writer: [publish(folder, spec, {"card.md": bytes([writer, n])}) for n in range(5)])
        for writer in range(4)
    ]
    for writer in writers:
        os.waitpid(writer, 0)
    assert versions(folder) == list(range(1, 21))
    bundles = [load_bundle(folder / str(number)) for number in versions(folder)]
    assert [bundle.spec.version for bundle in bundles] == versions(folder)
    assert len({(bundle.path / "card.md").read_bytes() for bundle in bundles}) == 20, "each wrote one of its own"
    assert current(folder) == 1


def test_killed_at_any_moment_a_folder_stays_usable(tmp_path: Path, spec: Spec) -> None:
    """Publishing, activating and returning, killed again and again: what `current` names is always whole."""
    folder = tmp_path / "models" / "cracks"
    publish(folder, spec, {})
    chance = random.Random(5)

    def work() -> None:
        while True:
            publish(folder, spec, {"card.md": b"# A card"})
            activate(folder, versions(folder)[-1])
            rollback(folder)
            activate(folder, versions(folder)[-1])

    for _ in range(12):
        child = forked(work)
        wanted = len(history(folder)) + chance.randrange(1, 9)
        while len(history(folder)) < wanted:
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert load_bundle(folder).spec.version == current(folder) == history(folder)[-1].version
        assert all(load_bundle(folder / str(number)).spec.version == number for number in versions(folder))
    assert publish(folder, spec, {}).spec.version == versions(folder)[-1]
