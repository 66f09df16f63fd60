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
from inspectd.domain import METHOD_NAMES, Verdict
from inspectd.errors import InspectdError
from inspectd.model.bundle import load_bundle
from inspectd.model.engine.backend import keras
from inspectd.model.golden import read_golden
from inspectd.model.loading import open_inspector
from inspectd.model.spec import HeatScale
from inspectd.training.adopt import UNMEASURED, Statement, adopt
from inspectd.vision.decode import decode

layers = keras.layers

SAID = Statement(("ok", "bar"))


def bright(*last: Any, side: int | None = 48, kernel: list[float] | None = None, white: float = 1) -> Any:
    """Knows a bar (values of 250) from noise (below 140): the hottest place decides, at 200 of 255.

    Args:
        white: What it takes 255 as.
    """
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
    head[0].set_weights([weights[None] / white, -weights * 200 / 255])
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
    assert all(spec.heat_scale[method]["bar"] != HeatScale(0.0, 1.0) for method in METHOD_NAMES)
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
    assert witness.said[0] == "The single output is the probability of ok; it was converted to that of bar."
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


class TestPreparation:
    """Whatever the network does to pixels itself is not done twice."""

    def scaling(self) -> Any:
        pixels = keras.Input((48, 48, 3))
        return keras.Model(pixels, bright()(pixels / 255.0))

    def test_is_what_the_network_shows(self, data: Path, tmp_path: Path) -> None:
        witness = Witness()
        adopt(saved(self.scaling(), tmp_path), tmp_path / "bars", SAID, None, witness)
        assert witness.said == [
            "The network scales pixels itself and takes 0..255, as --preprocess none gives them: its first weights "
            "(mean) get black and white as 0 and 0.003922 with --preprocess scale; 0 and 1 with --preprocess none.",
            UNMEASURED,
        ]
        assert verdicts(tmp_path / "bars", data) == RIGHT

    def test_stays_as_the_user_said(self, tmp_path: Path) -> None:
        file, witness = saved(self.scaling(), tmp_path), Witness()
        bundle = adopt(file, tmp_path / "doubled", replace(SAID, preprocess="scale"), None, witness)
        assert bundle.spec.preparation.preprocess == "scale"
        assert witness.said[0].startswith("--preprocess scale contradicts the network, which scales pixels itself: ")
        assert "If it was trained so, give --preprocess none. Your choice stays." in witness.said[0]
        witness = Witness()
        adopt(file, tmp_path / "bars", replace(SAID, preprocess="none"), None, witness)
        assert witness.said == [UNMEASURED]

    def test_is_what_golden_images_show(self, data: Path, tmp_path: Path) -> None:
        """Nothing in the network says that it takes 0..255."""
        witness = Witness()
        bundle = adopt(saved(bright(white=255), tmp_path), tmp_path / "bars", SAID, data, witness)
        assert bundle.spec.preparation.preprocess == "none"
        assert re.match(
            r"--preprocess none was chosen by the golden images: AUC 1\.000, 100% right by its own decision "
            r"\(--preprocess scale: AUC 1\.000, 50% right",
            witness.said[0],
        )
        assert verdicts(tmp_path / "bars", data) == RIGHT

    def test_may_be_that_of_the_backbone_within(self, data: Path, tmp_path: Path) -> None:
        inner = keras.Sequential([keras.Input((48, 48, 3)), *bright().layers[:-1]], name="mobilenetv2_1.00_48")
        decision = layers.Dense(1, activation="sigmoid")
        network = keras.Sequential([keras.Input((48, 48, 3)), inner, decision])
        decision.set_weights([np.array([[20.0]]), np.array([-6.0])])
        bundle = adopt(saved(network, tmp_path), tmp_path / "bars", SAID, data, Witness())
        assert (bundle.spec.preparation.preprocess, bundle.spec.preparation.backbone) == ("backbone", "mobilenetv2")


def test_the_size_may_be_that_of_a_network_within(tmp_path: Path) -> None:
    network = keras.Sequential([layers.RandomFlip(), bright()])
    network.build((None, None, None, 3))
    bundle = adopt(saved(network, tmp_path), tmp_path / "bars", SAID, None, Witness())
    to = bundle.spec.preparation
    assert (to.width, to.height, to.channels, bundle.spec.layer) == (48, 48, 3, "mean")


def test_weights_that_a_file_does_not_hold_are_not_made_up(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="not yet been built"):
        file = saved(keras.Sequential([layers.RandomFlip(), bright(), layers.Dense(2, name="new")]), tmp_path)
    with pytest.raises(InspectdError, match="holds no weights of new: the network was saved before it had been built"):
        adopt(file, tmp_path / "bars", SAID, None, Witness())


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
        ({"side": None}, SAID, "takes images of any size. Give the size"),
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
            r"takes 2 inputs \(.*\)\. inspectd gives a network one image",
        ),
        (
            lambda image: keras.Model(image, [layers.Dense(2)(layers.Flatten()(image)), layers.Flatten()(image)]),
            r"gives 2 outputs \(.*\), and inspectd needs one row of numbers for an image",
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
    with pytest.raises(InspectdError, match=r"theirs\.keras has weights that are not numbers: its training diverged"):
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
    assert re.search(r"Version 1 still judges\. To judge with this one: \S*inspectd model activate", result.output)
    assert load_bundle(model / "2").spec.metrics["auc"] == 1.0
