"""The reference networks, and weights put into them by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspectd.errors import DataError
from inspectd.model.engine.backend import keras
from inspectd.model.networks import build_network, open_backbone, target_layer
from inspectd.model.spec import Backbone, Head, Preparation
from inspectd.model.surgery import examine
from inspectd.model.weights import is_whole, load_weights_by_name, load_whole

SMALL = Preparation(64, 48)
layers, ops = keras.layers, keras.ops


def target(network: Any, shape: tuple[int, int, int] = (64, 64, 3)) -> str:
    return target_layer(network, examine(network, shape))


@pytest.mark.parametrize(
    ("backbone", "cut", "head", "classes", "last", "wanted"),
    [
        ("vgg16", "block3_conv3", "max", 2, (1, "sigmoid"), "block3_conv3"),
        ("vgg16", "block2_pool", "avg", 4, (4, "softmax"), "block2_conv2"),
        ("mobilenetv2", None, "avg", 2, (1, "sigmoid"), "out_relu"),
        ("mobilenetv2", "block_3_depthwise", "max", 2, (1, "sigmoid"), "block_3_depthwise"),
        ("efficientnetb0", "block2a_expand_activation", "max", 2, (1, "sigmoid"), "block2a_expand_activation"),
        ("compact", None, "flatten", 2, (2, "sigmoid"), "stage4_relu"),
        ("compact", "stage3_relu", "max", 3, (3, "softmax"), "stage3_relu"),
    ],
)
def test_cut_and_head(
    backbone: Backbone, cut: str | None, head: Head, classes: int, last: tuple[int, str], wanted: str
) -> None:
    network = build_network(backbone, cut, head, classes, SMALL)
    decision = network.layers[-1]
    assert (decision.units, decision.activation.__name__) == last
    assert target(network, (48, 64, 3)) == wanted
    assert network(np.zeros((2, 48, 64, 3), np.float32)).shape == (2, last[0])


@pytest.mark.parametrize(("classes", "activation"), [(2, "sigmoid"), (4, "softmax")])
def test_an_evidence_head_decides_by_places(classes: int, activation: str) -> None:
    """A single place with much evidence decides: the others hardly lower the logit, and none that is even raises it."""
    network = build_network("compact", "stage3_relu", "evidence", classes, SMALL)
    decision, evidence = network.layers[-1], network.get_layer("evidence")
    assert decision.activation.__name__ == activation
    assert target(network, (48, 64, 3)) == "features"
    head = keras.Model(evidence.input, network.output)
    decision.activation = keras.activations.linear
    evidence.kernel.assign(np.ones(evidence.kernel.shape))
    quiet = np.zeros((1, *evidence.input.shape[1:]), np.float32)
    loud = quiet.copy()
    loud[0, 2, 3, 0] = 50
    places = quiet.shape[1] * quiet.shape[2]
    assert np.asarray(head(quiet)) == pytest.approx(np.zeros((1, 1 if classes == 2 else classes)), abs=1e-5)
    assert np.asarray(head(loud))[0, -1] == pytest.approx(50 - np.log(places), abs=1e-3)
    if classes > 2:
        assert np.asarray(head(loud))[0, 0] == 0  # nothing speaks for OK but the lack of evidence


def test_statistics_follow_within_a_short_training() -> None:
    """ImageNet's networks come with 0.999, in which a training of a few hundred steps would never arrive."""
    network = build_network("mobilenetv2", None, "avg", 2, SMALL)
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.momentum for layer in norms} == {0.9}


def test_the_compact_network_is_small(tmp_path: Path) -> None:
    build_network("compact", None, "max", 2, Preparation(256, 256)).save(tmp_path / "model.keras")
    assert (tmp_path / "model.keras").stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("backbone", "cut", "to", "imagenet", "sentence"),
    [
        ("vgg16", "block6_conv1", SMALL, False, "vgg16 has no such layer. It has block1_conv1"),
        ("vgg16", None, Preparation(16, 64), False, "vgg16 does not take images of 16×64: .*at least 32x32"),
        ("inceptionv3", None, SMALL, False, "inceptionv3 does not take images of 64×48: .*at least 75x75"),
        (
            "efficientnetb0",
            "block2a_se_squeeze",
            SMALL,
            False,
            "the output of this layer of efficientnetb0 is not a map",
        ),
        ("compact", None, SMALL, True, "has no ImageNet weights"),
    ],
)
def test_what_cannot_be_built_is_said(
    backbone: Backbone, cut: str | None, to: Preparation, imagenet: bool, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        build_network(backbone, cut, "max", 2, to, imagenet=imagenet)


class TestWeightsByName:
    @pytest.fixture
    def part(self) -> Any:
        """The lower half of the compact network, and a layer that it does not have."""
        lower = build_network("compact", "stage2_relu", "avg", 5, SMALL)
        lower.layers[-1].name = "other"
        return lower

    @pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
    def test_fills_what_the_file_has_and_says_so(self, part: Any, tmp_path: Path) -> None:
        part.save(tmp_path / "part.h5")
        network = build_network("compact", "stage3_relu", "max", 2, SMALL)
        untouched = network.get_layer("stage3_conv").get_weights()[0].copy()
        loaded = load_weights_by_name(network, tmp_path / "part.h5")
        for name in ("stage1_conv", "stage1_norm", "stage2_conv", "stage2_norm"):
            pairs = zip(network.get_layer(name).get_weights(), part.get_layer(name).get_weights(), strict=True)
            assert all(np.array_equal(*pair) for pair in pairs)
        assert np.array_equal(network.get_layer("stage3_conv").get_weights()[0], untouched)
        assert str(loaded) == (
            "weights for stage1_conv, stage1_norm, stage2_conv, stage2_norm; "
            "not in the file: stage3_conv, stage3_norm, decision; unused: other"
        )

    @pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
    def test_another_shape_changes_nothing(self, part: Any, tmp_path: Path) -> None:
        network = build_network("compact", None, "max", 2, SMALL)
        part.layers[-1].name = "stage3_conv"
        part.save(tmp_path / "part.h5")
        before = [weight.copy() for weight in network.get_weights()]
        with pytest.raises(DataError, match=r"stage3_conv has shapes .*, but this network needs"):
            load_weights_by_name(network, tmp_path / "part.h5")
        assert all(np.array_equal(*pair) for pair in zip(before, network.get_weights(), strict=True))

    def test_a_file_of_another_kind(self, part: Any, tmp_path: Path) -> None:
        part.save_weights(tmp_path / "new.weights.h5")
        (tmp_path / "text.h5").write_text("no weights")
        for name in ("new.weights.h5", "text.h5", "missing.h5"):
            with pytest.raises(DataError, match="does not hold Keras weights by layer name"):
                load_weights_by_name(part, tmp_path / name)

    @pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
    def test_a_file_with_nothing_in_common(self, part: Any, tmp_path: Path) -> None:
        layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, name="lonely")]
        keras.Sequential(layers).save(tmp_path / "stranger.h5")
        with pytest.raises(DataError, match="it holds lonely, none of which is in this network"):
            load_weights_by_name(part, tmp_path / "stranger.h5")


class TestWeightsOfAWholeBackbone:
    def test_fill_all_of_it_and_nothing_else(self, tmp_path: Path) -> None:
        given, taking = (open_backbone("compact", SMALL) for _ in range(2))
        given.save_weights(tmp_path / "compact.weights.h5")
        assert is_whole(tmp_path / "compact.weights.h5")
        loaded = load_whole(taking, tmp_path / "compact.weights.h5")
        assert loaded.taken[:2] == ("stage1_conv", "stage1_norm")
        assert str(loaded) == "weights for all 8 layers that have any"
        assert all(np.array_equal(*pair) for pair in zip(given.get_weights(), taking.get_weights(), strict=True))

    def test_of_another_backbone_are_refused(self, tmp_path: Path) -> None:
        open_backbone("compact", SMALL).save_weights(tmp_path / "compact.weights.h5")
        with pytest.raises(DataError, match="these are not the weights of the whole vgg16 without its top: "):
            load_whole(open_backbone("vgg16", SMALL), tmp_path / "compact.weights.h5")

    def test_a_file_of_another_kind(self, tmp_path: Path) -> None:
        (tmp_path / "text.h5").write_text("no weights")
        with pytest.raises(DataError, match=r"it cannot be read as a Keras `.h5` file"):
            is_whole(tmp_path / "text.h5")


@pytest.mark.parametrize(("head", "calm"), [("max", True), ("avg", True), ("flatten", False)])
def test_a_cut_backbone_starts_without_an_opinion(head: Head, calm: bool) -> None:
    """Whatever the scale of the backbone's features; the article's head starts as the article's does."""
    network = build_network("vgg16", "block1_pool", head, 2, Preparation(32, 32))
    outputs = network(np.random.default_rng(1).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)).numpy()
    assert (outputs == 0.5).all() == calm


class TestTargetLayer:
    @pytest.mark.parametrize(
        ("inner", "wanted"),
        [
            ("VGG16", "block5_conv3"),
            ("ResNet50", "conv5_block3_out"),
            ("MobileNetV2", "out_relu"),
            ("EfficientNetB0", "top_activation"),
            ("DenseNet121", "relu"),
        ],
    )
    def test_is_the_last_map_of_a_network_nested_two_deep(self, inner: str, wanted: str) -> None:
        backbone = getattr(keras.applications, inner)(include_top=False, weights=None, input_shape=(64, 64, 3))
        trunk = keras.Sequential([layers.RandomFlip("horizontal"), backbone, layers.GlobalAveragePooling2D()])
        assert target(keras.Sequential([keras.Input((64, 64, 3)), trunk, layers.Dense(2)])) == wanted

    @pytest.mark.parametrize(
        ("after", "wanted"),
        [
            # What follows the last map hands it on, or has no places any more.
            ([layers.MaxPooling2D(), layers.Dropout(0.2), layers.ZeroPadding2D(), layers.Flatten()], "maps"),
            (
                [layers.GlobalAveragePooling2D(keepdims=True), layers.Conv2D(8, 1, name="wide"), layers.Flatten()],
                "maps",
            ),
            ([layers.Softmax(name="shares"), layers.GlobalAveragePooling2D()], "maps"),
            # An operator gives a map as the layer does that stands for it.
            ([lambda maps: ops.relu6(maps) * 2.0, layers.GlobalAveragePooling2D()], "multiply"),
            # The projections of an attention are of rank 4 and no maps.
            (
                [
                    layers.Reshape((-1, 8)),
                    lambda tokens: layers.MultiHeadAttention(2, 4)(tokens, tokens),
                    layers.GlobalAveragePooling1D(),
                ],
                "maps",
            ),
        ],
    )
    def test_makes_features_at_places(self, after: list[Any], wanted: str) -> None:
        pixels = keras.Input((32, 32, 3))
        maps = layers.Conv2D(8, 3, name="maps")(layers.Rescaling(1 / 255)(pixels / 2.0))
        for layer in after:
            maps = layer(maps)
        assert target(keras.Model(pixels, layers.Dense(2)(maps)), (32, 32, 3)).startswith(wanted)

    def test_is_called_once(self) -> None:
        pixels = keras.Input((32, 32, 3))
        inner = keras.Sequential([keras.Input((30, 30, 4)), layers.Conv2D(4, 3, name="twice"), layers.Flatten()])
        maps = layers.Conv2D(4, 3, name="once")(pixels)
        both = layers.concatenate([inner(maps), inner(maps[:, ::-1])])
        assert target(keras.Model(pixels, layers.Dense(2)(both)), (32, 32, 3)) == "once"

    def test_or_its_lack_is_said(self) -> None:
        flat = keras.Sequential(
            [keras.Input((16, 16, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(2)]
        )
        with pytest.raises(DataError, match="Name one for Grad-CAM with --layer"):
            target(flat, (16, 16, 3))
        pixels = keras.Input((16, 16, 3))
        twin = layers.Conv2D(4, 3, name="twin")
        both = layers.concatenate([layers.Flatten()(twin(each)) for each in (pixels, pixels[:, ::-1])])
        with pytest.raises(DataError, match="twin, like all that give a map, is called more than once"):
            target(keras.Model(pixels, layers.Dense(2)(both)), (16, 16, 3))
