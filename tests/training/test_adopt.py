"""A network from elsewhere becomes a bundle that inspects, or nothing at all."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.witness import Witness
from typer.testing import CliRunner

from inspectd.cli.main import app
from inspectd.errors import InspectdError
from inspectd.ledger.schema import Verdict
from inspectd.model.backend import keras
from inspectd.model.bundle import load_bundle
from inspectd.model.golden import read_golden
from inspectd.model.inspector import open_inspector
from inspectd.model.spec import ALL_METHODS, HeatScale
from inspectd.training.adopt import UNMEASURED, Statement, adopt
from inspectd.vision.decode import decode

layers = keras.layers

SAID = Statement(("ok", "bar"))


def bright(*last: Any, side: int | None = 48, kernel: list[float] | None = None) -> Any:
    """Knows a bar (values of 250) from noise (below 140): the hottest place decides, at 200 of 255."""
    head = last or (layers.Dense(2, activation="softmax", name="decision"),)
    network = keras.Sequential(
        [
            keras.Input((side, side, 3)),
            layers.Conv2D(1, 3, activation="relu", name="mean"),
            layers.GlobalMaxPooling2D(),
            *head,
        ]
    )
    network.get_layer("mean").set_weights([np.full((3, 3, 3, 1), 1 / 27), np.zeros(1)])
    weights = np.array(kernel or [0.0, 10.0])
    head[0].set_weights([weights[None], -weights * 200 / 255])
    return network


def saved(network: Any, folder: Path, name: str = "theirs.keras") -> Path:
    network.save(folder / name)
    return folder / name


def verdicts(model: Path, data: Path) -> dict[str, set[Verdict]]:
    inspector = open_inspector(load_bundle(model), "cpu", "float32")
    found = {}
    for name in ("ok", "bar"):
        files = sorted((data / name).iterdir())[:4]
        prepared = [inspector.prepare(decode(file.read_bytes(), 10**6).pixels) for file in files]
        found[name] = {finding.verdict for finding in inspector.inspect(prepared)}
    return found


RIGHT = {"ok": {Verdict.OK}, "bar": {Verdict.DEFECT}}


@pytest.mark.parametrize("name", ["theirs.keras", "theirs.h5"])
def test_with_images_everything_is_measured(name: str, data: Path, tmp_path: Path) -> None:
    (data / "bar" / "broken.png").write_text("nothing")
    witness = Witness()
    bundle = adopt(saved(bright(), tmp_path, name), tmp_path / "models" / "bars", SAID, data, witness)
    assert bundle.path == tmp_path / "models" / "bars" / "1"
    spec = bundle.spec
    assert (spec.name, spec.version, spec.activation, spec.layer) == ("bars", 1, "softmax", "mean")
    assert (spec.preparation.width, spec.preparation.height, spec.preparation.channels) == (48, 48, 3)
    assert (spec.metrics["auc"], spec.metrics["good"], spec.metrics["defects"]) == (1.0, 20, 12)
    assert spec.metrics["good_max"] < spec.thresholds.defect < spec.metrics["defect_min"]
    assert all(spec.heat_scale[method]["bar"] != HeatScale(0.0, 1.0) for method in ALL_METHODS)
    assert spec.training["imported_from"] == name
    assert {"findings.csv", "card.md", "model.keras"} <= bundle.files
    golden = read_golden(bundle)
    assert golden
    assert [image.target for image in golden.images] == ["ok"] * 4 + ["bar"] * 4
    assert any(line.startswith("Skipped bar/broken.png: ") for line in witness.said)
    assert verdicts(tmp_path / "models" / "bars", data) == RIGHT


def test_without_images_nothing_is_claimed(data: Path, tmp_path: Path) -> None:
    witness = Witness()
    bundle = adopt(saved(bright(), tmp_path), tmp_path / "bars", SAID, None, witness)
    assert (bundle.spec.thresholds.defect, bundle.spec.metrics) == (0.0, {})
    assert witness.said == [UNMEASURED]
    card = (bundle.path / "card.md").read_text()
    assert UNMEASURED in card
    assert "Evaluated" not in card
    assert verdicts(tmp_path / "bars", data) == RIGHT


def test_becomes_the_next_version(tmp_path: Path) -> None:
    file = saved(bright(), tmp_path)
    numbers = [adopt(file, tmp_path / "bars", SAID, None, Witness()).spec.version for _ in range(2)]
    assert numbers == [1, 2]
    assert load_bundle(tmp_path / "bars").spec.version == 1


def test_a_single_output_for_ok_is_turned_around(data: Path, tmp_path: Path) -> None:
    """Folders in alphabetical order make `ok` the second class, and the output its probability."""
    network = bright(layers.Dense(1, activation="sigmoid"), kernel=[-10.0])
    witness = Witness()
    adopt(saved(network, tmp_path), tmp_path / "bars", Statement(("bar", "ok")), None, witness)
    assert witness.said[0] == "The single output is the probability of ok; it was turned into bar's."
    assert verdicts(tmp_path / "bars", data) == RIGHT


def test_what_the_network_does_not_say_is_given(data: Path, tmp_path: Path) -> None:
    said = replace(SAID, size=(40, 24), preprocess="backbone", backbone="compact", bits=12, layer="mean")
    bundle = adopt(saved(bright(side=None), tmp_path), tmp_path / "bars", said, data, Witness())
    to = bundle.spec.preparation
    assert (to.width, to.height, to.preprocess, to.backbone, to.bits) == (40, 24, "backbone", "compact", 12)


def test_images_are_read_by_the_bits_that_are_given_or_the_doubt_is_said(data: Path, tmp_path: Path) -> None:
    for file in data.rglob("*.png"):
        cv2.imwrite(str(file), cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(np.uint16) << 4)
    file, right, dark = saved(bright(), tmp_path), Witness(), Witness()
    bundle = adopt(file, tmp_path / "right", replace(SAID, bits=12), data, right)
    assert bundle.spec.metrics["auc"] == 1.0
    assert right.figures("No value") == []
    adopt(file, tmp_path / "dark", SAID, data, dark)
    assert dark.figures("No value in 32 16-bit files exceeds 1/16 of the range of 16 bits")


def test_a_network_that_scales_pixels_itself_is_noticed(data: Path, tmp_path: Path) -> None:
    network = keras.Sequential([keras.Input((48, 48, 3)), layers.Rescaling(1 / 255, name="by_255"), *bright().layers])
    file, witness = saved(network, tmp_path), Witness()
    adopt(file, tmp_path / "doubled", SAID, None, witness)
    assert witness.said[0].startswith("The network scales pixels itself (by_255): if it was trained so")
    witness = Witness()
    adopt(file, tmp_path / "bars", replace(SAID, preprocess="none"), None, witness)
    assert witness.said == [UNMEASURED]
    assert verdicts(tmp_path / "bars", data) == RIGHT


def _without(name: str) -> Callable[[Path], object]:
    return lambda data: [path.unlink() for path in (data / name).iterdir()]


@pytest.mark.parametrize(
    ("network", "said", "sentence"),
    [
        ({}, replace(SAID, classes=("ok",)), "--classes ok: name at least two classes"),
        ({}, replace(SAID, classes=("ok", "ok")), "--classes ok,ok: name at least two classes, each once"),
        ({}, replace(SAID, ok=("good",)), "--ok good: it is not among --classes ok,bar"),
        ({}, replace(SAID, ok=("ok", "bar")), "needs an OK class, named by --ok, and a class of defects"),
        ({}, replace(SAID, classes=("ok", "bar", "dent")), "names 3 classes, but the network has 2 outputs"),
        ({}, replace(SAID, preprocess="backbone"), "name the network that the pixels are prepared for with --backbone"),
        ({}, replace(SAID, backbone="vgg17"), "backbone: "),
        ({}, replace(SAID, size=(48, 9000)), "height: Input should be less than or equal to 8192"),
        ({}, replace(SAID, layer="nosuch"), "the network has no layer nosuch. Its last ones are .*mean"),
        ({}, replace(SAID, channels=1), r"does not take an input of \(48, 48, 1\)"),
        ({"side": None}, SAID, "takes images of any size. Say with --size"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing(
    network: dict[str, Any], said: Statement, sentence: str, tmp_path: Path
) -> None:
    file = saved(bright(**network), tmp_path)
    with pytest.raises(InspectdError, match=sentence):
        adopt(file, tmp_path / "models" / "bars", said, None, Witness())
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda image: keras.Model([image, keras.Input((48, 48, 3))], layers.Dense(2)(layers.Flatten()(image))),
            r"The network takes \[\(None, 48, 48, 3\), \(None, 48, 48, 3\)\], not one image",
        ),
        (
            lambda image: keras.Model(image, [layers.Dense(2)(layers.Flatten()(image)), layers.Flatten()(image)]),
            "The network's output must be one row of numbers per image, not several of them",
        ),
        (
            lambda image: keras.Model(image, layers.Conv2D(2, 3)(image)),
            r"The network's output must be one row of numbers per image, not \(None, 46, 46, 2\)",
        ),
    ],
)
def test_what_takes_or_gives_something_else_is_said(make: Callable[[Any], Any], sentence: str, tmp_path: Path) -> None:
    file = saved(make(keras.Input((48, 48, 3))), tmp_path)
    with pytest.raises(InspectdError, match=sentence):
        adopt(file, tmp_path / "bars", SAID, None, Witness())


@pytest.mark.parametrize("name", ["ok", "bar"])
def test_images_of_one_side_alone_are_refused(name: str, data: Path, tmp_path: Path) -> None:
    _without(name)(data)
    with pytest.raises(InspectdError, match=f"--golden .* has no usable images of {name}"):
        adopt(saved(bright(), tmp_path), tmp_path / "bars", SAID, data, Witness())
    assert not (tmp_path / "bars").exists()


def test_a_network_that_gives_no_numbers_is_refused(data: Path, tmp_path: Path) -> None:
    network = bright()
    network.get_layer("mean").set_weights([np.full((3, 3, 3, 1), 3e38), np.zeros(1)])
    with pytest.raises(InspectdError, match=r"no finite number for ok/000\.png"):
        adopt(saved(network, tmp_path), tmp_path / "bars", SAID, data, Witness())
    assert not (tmp_path / "bars").exists()


def test_weights_that_are_no_numbers_are_refused_without_images_too(tmp_path: Path) -> None:
    network = bright()
    network.get_layer("decision").set_weights([np.full((1, 2), np.nan), np.zeros(2)])
    with pytest.raises(InspectdError, match=r"theirs\.keras has weights that are no numbers: its training diverged"):
        adopt(saved(network, tmp_path), tmp_path / "bars", SAID, None, Witness())


def test_the_command_imports_and_says_what_is_next(data: Path, tmp_path: Path) -> None:
    file, model = saved(bright(), tmp_path), tmp_path / "bars"
    choices = ["--classes", "ok, bar", "--ok", "ok", "--size", "48", "--channels", "3"]
    for number in (1, 2):
        result = CliRunner().invoke(
            app, ["model", "import", str(file), "--out", str(model), "--golden", str(data), *choices]
        )
        assert result.exit_code == 0, result.output
        assert f"Wrote {model / str(number)}" in result.output
    assert re.search(r"Version 1 judges still\. To have this one judge: \S*inspectd model activate", result.output)
    assert load_bundle(model / "2").spec.metrics["auc"] == 1.0
