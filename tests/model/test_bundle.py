"""A bundle is whole, unchanged and understood, or it is refused with a sentence."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from inspectd.errors import BundleError
from inspectd.model.bundle import Bundle, load_bundle, write_bundle
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import Calibration, HeatScale, ImageClass, Preparation, Spec, Thresholds

SPEC = Spec(
    name="Prüfling",
    classes=(ImageClass("ok", True), ImageClass("crack", False), ImageClass("dent", False)),
    activation="softmax",
    preparation=Preparation(512, 256, 3, "backbone", "vgg16"),
    thresholds=Thresholds(12.5, 3.0),
    heat_scale={"gradcam": {"crack": HeatScale(1.5, 7.25), "dent": HeatScale(0.0, 2.0)}},
    version=3,
    layer="block3_conv3",
    calibration=Calibration(12.5, 4.0),
    evaluated_in="bfloat16",
    metrics={"auc": 0.998, "escapes": 0},
    training={"epochs": 4, "skipped": ["ok/a.png: The file is cut."]},
)


def write(folder: Path) -> Bundle:
    return write_bundle(folder / "bundle", SPEC, {"model.keras": b"a network", "card.md": b"# A card\n"})


def test_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = write(tmp_path)
    loaded = load_bundle(tmp_path / "bundle")
    assert loaded == written
    assert loaded.spec == SPEC
    assert loaded.title == f"Prüfling@{loaded.identity[:8]}"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_takes_files_by_their_path(tmp_path: Path) -> None:
    (tmp_path / "network").write_bytes(b"a network")
    bundle = write_bundle(tmp_path / "a" / "b", SPEC, {"model.keras": tmp_path / "network"})
    assert (bundle.path / "model.keras").read_bytes() == b"a network"


class TestIdentity:
    def test_is_the_content_and_nothing_else(self, tmp_path: Path) -> None:
        first = write_null_bundle(tmp_path / "one", name="same")
        second = write_null_bundle(tmp_path / "two", name="same")
        other = write_null_bundle(tmp_path / "three", name="same", thresholds=Thresholds(0.1))
        assert first.identity == second.identity
        assert first.identity != other.identity
        assert len(first.identity) == 64

    def test_does_not_depend_on_the_manifests_layout(self, tmp_path: Path) -> None:
        bundle = write(tmp_path)
        manifest = bundle.path / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text()), indent=8, sort_keys=True))
        assert load_bundle(bundle.path).identity == bundle.identity


class TestWriting:
    def test_never_overwrites(self, tmp_path: Path) -> None:
        before = write(tmp_path)
        with pytest.raises(BundleError, match="exists already"):
            write(tmp_path)
        assert load_bundle(before.path) == before

    def test_leaves_nothing_when_it_fails(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="could not be written"):
            write_bundle(tmp_path / "bundle", SPEC, {"model.keras": tmp_path / "missing"})
        assert list(tmp_path.iterdir()) == []


def _change(name: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        content = bytearray((path / name).read_bytes())
        content[-1] ^= 1
        (path / name).write_bytes(content)

    return change


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda path: (path / "model.keras").unlink(), r"lacks model\.keras"),
        (lambda path: (path / "model.pkl").write_bytes(b"x"), r"holds model\.pkl, which its manifest does not list"),
        (_change("model.keras"), r"model\.keras is not what was evaluated"),
        (_change("bundle.yaml"), r"bundle\.yaml is not what was evaluated"),
        (_change("card.md"), r"card\.md is not what was evaluated"),
        (lambda path: (path / "manifest.json").unlink(), r"it has no manifest\.json"),
        (lambda path: (path / "manifest.json").write_text("{"), "is damaged"),
        (lambda path: (path / "manifest.json").write_text('{"format": 1, "files": {}}'), r"does not list bundle\.yaml"),
        (lambda path: (path / "manifest.json").write_text('{"format": 2, "files": {}}'), "format 2, newer than this"),
    ],
)
def test_harm_is_noticed(harm: Callable[[Path], object], sentence: str, tmp_path: Path) -> None:
    path = write(tmp_path).path
    harm(path)
    with pytest.raises(BundleError, match=sentence):
        load_bundle(path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no such folder"):
        load_bundle(tmp_path / "nowhere")


def test_a_network_without_its_file(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "bundle", SPEC, {}).path
    with pytest.raises(BundleError, match=r"has no model\.keras"):
        load_bundle(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2}, "format 2, newer than this inspectd"),
        ({"format": None}, "format: must be a whole number"),
        ({"thresholds": {"defect": "high"}}, r"thresholds\.defect: .*valid number"),
        ({"thresholds": {"defect": 1.0, "review": 2.0}}, "thresholds: `review` must lie below `defect`"),
        ({"thresholds": {"defect": float("nan")}}, r"thresholds\.defect: .*finite"),
        ({"colour": "red"}, "colour: "),
        ({"activation": "tanh"}, "activation: .*'softmax' or 'sigmoid'"),
        ({"layer": None}, "`layer` must name"),
        ({"classes": [{"name": "ok", "ok": True}]}, "at least one class with"),
        ({"classes": [{"name": "a", "ok": True}, {"name": "a", "ok": False}]}, "names a class twice"),
        ({"heat_scale": {"gradcam": {"crack": {"low": 0, "high": 1}}}}, "has no numbers for dent"),
        ({"heat_scale": {"gradcam": {"crack": {"low": 3, "high": 1}}}}, "`low` must lie below `high`"),
        ({"preparation": {"width": 64, "height": 64, "preprocess": "backbone"}}, "needs `backbone`"),
    ],
)
def test_what_the_spec_says_wrong_is_named_with_its_key(
    changes: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    values = yaml.safe_load((write(tmp_path).path / "bundle.yaml").read_text()) | changes
    path = _with_spec(tmp_path / "other", yaml.safe_dump(values))
    with pytest.raises(BundleError, match=sentence):
        load_bundle(path)


@pytest.mark.parametrize(("text", "sentence"), [("a: [", "not valid YAML"), ("- 1", "must hold keys and values")])
def test_a_spec_that_is_no_mapping(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=sentence):
        load_bundle(_with_spec(tmp_path / "other", text))


def _with_spec(path: Path, text: str) -> Path:
    """A bundle whose manifest is right about a spec that is wrong."""
    from hashlib import sha256

    path.mkdir()
    (path / "bundle.yaml").write_text(text)
    files = {"bundle.yaml": sha256(text.encode()).hexdigest()}
    (path / "manifest.json").write_text(json.dumps({"format": 1, "files": files}))
    return path


def test_a_bundle_made_from_another_shares_what_did_not_change(tmp_path: Path) -> None:
    base = write_bundle(
        tmp_path / "1", SPEC, {"model.keras": b"a network", "golden/a.png": b"an image", "card.md": b"1"}
    )
    made = write_bundle(tmp_path / "2", replace(SPEC, version=4), {"card.md": b"2"}, base)
    assert load_bundle(tmp_path / "2") == made
    assert made.identity != base.identity
    assert made.files == base.files == {"bundle.yaml", "model.keras", "golden/a.png", "card.md"}
    for name in ("model.keras", "golden/a.png"):
        assert (made.path / name).samefile(base.path / name)
    assert (made.path / "card.md").read_bytes() == b"2"
    assert load_bundle(tmp_path / "1") == base
