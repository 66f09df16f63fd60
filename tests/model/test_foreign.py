"""Networks from elsewhere are read whole, or a sentence says why not; no code in them is run."""

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras.src.applications.convnext import LayerScale

from inspectd.errors import BundleError, DataError, InspectdError
from inspectd.model.engine.backend import keras
from inspectd.model.foreign.network import activation_of, read_network, turn_around
from inspectd.model.modelfile import MOST_TEXT
from inspectd.model.surgery import examine, load_network

layers = keras.layers
SIDE = 32  # of the article's network here, to keep its files small


def small(*last: Any, channels: int = 3) -> Any:
    return keras.Sequential(
        [
            keras.Input((16, 16, channels)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="shrink"),
            layers.Flatten(),
            *(last or [layers.Dense(2, activation="softmax")]),
        ]
    )


def write_as_keras_2(network: Any, root: Any) -> None:
    """Weights in the layout of Keras 2: a group a layer, a nested network being one."""
    root.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
    root.attrs["keras_version"] = b"2.4.3"
    for layer in network.layers:
        group = root.create_group(layer.name)
        names = [f"{weight.path}:0" for weight in layer.weights]
        group.attrs["weight_names"] = [name.encode() for name in names]
        for name, weight in zip(names, layer.weights, strict=True):
            group[name] = np.asarray(weight)


def answers(network: Any) -> np.ndarray:
    pixels = np.random.default_rng(3).random((2, *network.input_shape[1:]), np.float32)
    return np.asarray(network(pixels, training=False))


class TestWholeModels:
    @pytest.mark.parametrize("name", ["model.keras", "model.h5"])
    def test_are_read_as_they_are(self, name: str, tmp_path: Path) -> None:
        network = small()
        network.save(tmp_path / name)
        assert np.allclose(answers(read_network(tmp_path / name, None, None)), answers(network), atol=1e-6)

    def test_with_operators_are_read_from_h5_too(self, tmp_path: Path) -> None:
        """Keras's own loader of `.h5` knows no operators, and takes `Subtract` for the layer of that name."""
        pixels, maps = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
        conv = layers.Conv2D(4, 3, padding="same")(maps)
        gate = keras.ops.sigmoid(keras.ops.mean(conv, axis=(1, 2), keepdims=True))
        inner = keras.Model(maps, LayerScale(0.5, 4)(layers.Add()([conv * gate, conv])))
        means = layers.GlobalAveragePooling2D()(inner(pixels[..., ::-1] / 127.5 - 1.0) + 1.0)
        network = keras.Model(pixels, layers.Dense(2, activation="softmax")(means))
        network.save(tmp_path / "model.h5")
        assert np.allclose(answers(read_network(tmp_path / "model.h5", None, None)), answers(network), atol=1e-6)

    @pytest.mark.parametrize("precision", ["float16", "float64"])
    @pytest.mark.parametrize("name", ["model.keras", "model.h5"])
    def test_with_weights_of_another_precision_get_single_ones(self, name: str, precision: str, tmp_path: Path) -> None:
        pixels = keras.Input((16, 16, 3), dtype=precision)
        maps = layers.Conv2D(4, 3, dtype=precision)(pixels / 255)
        means = layers.GlobalAveragePooling2D(dtype=precision)(maps)
        network = keras.Model(pixels, layers.Dense(2, activation="softmax", dtype=precision)(means))
        network.save(tmp_path / name)
        found = read_network(tmp_path / name, None, None)
        assert {weight.dtype for weight in found.weights} == {"float32"}
        assert np.allclose(answers(found), answers(network), atol=1e-3)

    def test_with_names_that_tensorflow_does_not_take_are_read(self, tmp_path: Path) -> None:
        """JAX and PyTorch take any: what was made with them has spaces, colons and umlauts."""
        pixels = keras.Input((16, 16, 3), name="the image")
        maps = layers.Conv2D(4, 3, name="a:b")(layers.Conv2D(4, 3, name="a b")(pixels))
        means = layers.GlobalAveragePooling2D(name="größe")(maps)
        network = keras.Model(pixels, layers.Dense(2, activation="softmax", name="c")(means), name="[1] mine")
        wanted = answers(network)
        network.save(tmp_path / "model.keras")
        found = read_network(tmp_path / "model.keras", None, None)
        assert [layer.name for layer in found.layers[1:]] == ["a_b", "a_b_", "gr__e", "c"]
        found.save(tmp_path / "again.keras")
        again = load_network(tmp_path / "again.keras")
        assert np.allclose(answers(again), wanted, atol=1e-6)
        assert examine(again, (16, 16, 3)).units == 2

    @pytest.mark.parametrize(
        ("end", "units", "activation"),
        [
            (lambda maps: keras.ops.softmax(layers.Dense(3)(layers.GlobalMaxPooling2D()(maps))), 3, "softmax"),
            (lambda maps: keras.ops.sigmoid(layers.Dense(1)(layers.GlobalMaxPooling2D()(maps))), 1, "sigmoid"),
            (lambda maps: layers.GlobalMaxPooling2D()(layers.Conv2D(1, 1, activation="sigmoid")(maps)), 1, "sigmoid"),
            (lambda maps: layers.GlobalMaxPooling2D()(layers.Conv2D(2, 1)(maps)), 2, "linear"),
            (lambda maps: layers.GlobalAveragePooling2D()(layers.Conv2D(1, 1)(maps)), 1, "linear"),
        ],
        ids=["softmax operator", "sigmoid operator", "greatest probability", "greatest logits", "mean logit"],
    )
    def test_get_their_activation_as_the_last_layer(
        self, end: Callable[[Any], Any], units: int, activation: str, tmp_path: Path
    ) -> None:
        pixels = keras.Input((16, 16, 3))
        network = keras.Model(pixels, end(layers.Conv2D(4, 3, activation="relu", name="maps")(pixels)))
        wanted = answers(network)
        network.save(tmp_path / "model.keras")
        found = read_network(tmp_path / "model.keras", None, None)
        anatomy = examine(found, (16, 16, 3))
        assert anatomy.units == units
        assert anatomy.last.activation.__name__ == activation
        assert np.allclose(answers(found), wanted, atol=1e-6)

    def test_keep_an_end_that_cannot_be_taken_apart(self, tmp_path: Path) -> None:
        """The mean of probabilities is the probability of no logit."""
        pixels = keras.Input((16, 16, 3))
        network = keras.Model(
            pixels, layers.GlobalAveragePooling2D()(layers.Conv2D(1, 1, activation="sigmoid")(pixels))
        )
        network.save(tmp_path / "model.keras")
        found = read_network(tmp_path / "model.keras", None, None)
        with pytest.raises(BundleError, match=r"does not end in a layer with an activation \(global_average"):
            activation_of(found, examine(found, (16, 16, 3)))

    @pytest.mark.parametrize(("saved", "name"), [("a.keras", "b.h5"), ("a.h5", "b.keras"), ("a.h5", "b.model")])
    def test_are_opened_by_what_they_are(self, saved: str, name: str, tmp_path: Path) -> None:
        network = small()
        network.save(tmp_path / saved)
        (tmp_path / saved).rename(tmp_path / name)
        assert np.allclose(answers(read_network(tmp_path / name, None, None)), answers(network), atol=1e-6)

    def test_that_were_unpacked_are_packed_as_said(self, tmp_path: Path) -> None:
        network = small()
        network.save(tmp_path / "packed.keras")
        with zipfile.ZipFile(tmp_path / "packed.keras") as archive:
            archive.extractall(tmp_path / "model")
        with pytest.raises(DataError, match=r"an unpacked `\.keras` file\. .* zip -0r ") as refused:
            read_network(tmp_path / "model", None, None)
        if shutil.which("zip"):
            subprocess.run(str(refused.value).split("`")[-2], shell=True, check=True, stdout=subprocess.DEVNULL)
            found = read_network(tmp_path / "model.keras", None, None)
            assert np.allclose(answers(found), answers(network), atol=1e-6)

    def test_with_several_outputs_are_not(self, tmp_path: Path) -> None:
        pixels = keras.Input((16, 16, 3))
        flat = layers.Flatten()(pixels)
        keras.Model(pixels, [layers.Dense(1, name="a")(flat), layers.Dense(3, name="b")(flat)]).save(
            tmp_path / "m.keras"
        )
        with pytest.raises(BundleError, match=r"gives 2 outputs \(a, b\).*get_layer\('a'\)\.output\)\.save"):
            read_network(tmp_path / "m.keras", None, None)

    @pytest.mark.parametrize("name", ["model.keras", "model.h5"])
    def test_with_a_lambda_layer_are_not(self, name: str, tmp_path: Path) -> None:
        network = small(layers.Lambda(lambda maps: maps * 2), layers.Dense(2))
        network.save(tmp_path / name)
        with pytest.raises(BundleError, match="holds a Lambda layer, which would run code from the file"):
            read_network(tmp_path / name, None, None)

    @pytest.mark.parametrize("name", ["model.keras", "model.h5"])
    def test_with_a_layer_of_their_makers_own_are_not(self, name: str, tmp_path: Path) -> None:
        class Blur(layers.Layer):
            def call(self, maps: Any) -> Any:
                return maps

        small(Blur(), layers.Dense(2)).save(tmp_path / name)
        with pytest.raises(BundleError, match=rf"{name} needs Blur, which is not part of Keras.*Keras's own layers"):
            read_network(tmp_path / name, None, None)

    def test_need_no_architecture(self, tmp_path: Path) -> None:
        small().save(tmp_path / "model.keras")
        with pytest.raises(DataError, match=r"holds a whole model.*Leave out --architecture"):
            read_network(tmp_path / "model.keras", "article", None)

    @pytest.mark.parametrize("name", ["model.keras", "model.h5"])
    def test_that_are_damaged_are_said(self, name: str, tmp_path: Path) -> None:
        small().save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InspectdError, match=rf"{name} (cannot be|is neither)"):
            read_network(tmp_path / name, None, None)

    @pytest.mark.parametrize(
        "description",
        ["[" * 200_000, b"\xff\xfe", "[1]", json.dumps({"class_name": "Sequential"}), " " * (MOST_TEXT + 1)],
        ids=["deep", "no text", "a list", "without layers", "too long"],
    )
    @pytest.mark.parametrize("generation", ["2", "3"])
    def test_with_a_damaged_description_are_said(
        self, generation: str, description: str | bytes, tmp_path: Path
    ) -> None:
        with zipfile.ZipFile(tmp_path / "model.keras", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": f"{generation}.12.0"}))
            archive.writestr("config.json", description)
        with pytest.raises(InspectdError, match=r"model\.keras (cannot be|was saved by Keras 2, and its description)"):
            read_network(tmp_path / "model.keras", None, None)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda _: None, "this file does not exist"),
        (lambda path: path.mkdir(), r"is a folder. Save the model as one file"),
        (lambda path: path.write_text("weights"), r"is neither a `\.keras` nor an `\.h5` file"),
    ],
)
def test_what_is_no_model_is_said(make: Callable[[Path], object], sentence: str, tmp_path: Path) -> None:
    make(tmp_path / "model.h5")
    with pytest.raises(DataError, match=sentence):
        read_network(tmp_path / "model.h5", None, None)


def article(nested: bool) -> Any:
    """The article's network, as people write it; each array is filled with its own number."""
    backbone = keras.applications.VGG16(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    head = [
        layers.Flatten(),
        layers.Dense(1024, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(2, activation="sigmoid"),
    ]
    if nested:
        network = keras.Sequential([backbone, *head])
    else:
        maps = backbone.output
        for layer in head:
            maps = layer(maps)
        network = keras.Model(backbone.input, maps)
    network.set_weights([np.full(weight.shape, index, np.float32) for index, weight in enumerate(network.weights)])
    return network


def save_as_keras_2(network: Any, path: Path) -> None:
    """As `save_weights("x.h5")` in Keras 2."""
    with h5py.File(path, "w") as file:
        write_as_keras_2(network, file)


class TestWeightsOfTheArticle:
    @pytest.mark.parametrize("nested", [False, True])
    @pytest.mark.parametrize("version", [2, 3])
    def test_are_put_in_their_places_whatever_the_layers_are_called(
        self, version: int, nested: bool, tmp_path: Path
    ) -> None:
        path = tmp_path / "x.weights.h5"
        network = article(nested)
        if version == 2:
            save_as_keras_2(network, path)
        else:
            network.save_weights(path)
        found = read_network(path, "article", (SIDE, SIDE))
        assert [weight.shape for weight in found.weights] == [weight.shape for weight in network.weights]
        for index, weight in enumerate(found.get_weights()):
            assert (weight == index).all()
        assert found.layers[-1].activation is keras.activations.sigmoid

    def test_need_to_be_called_so(self, tmp_path: Path) -> None:
        small().save_weights(tmp_path / "x.weights.h5")
        with pytest.raises(DataError, match=r"holds weights only.*Give --architecture article"):
            read_network(tmp_path / "x.weights.h5", None, None)

    @pytest.mark.parametrize("version", [2, 3])
    def test_of_another_network_are_refused(self, version: int, tmp_path: Path) -> None:
        path = tmp_path / "x.weights.h5"
        network = small()
        save_as_keras_2(network, path) if version == 2 else network.save_weights(path)
        with pytest.raises(
            DataError, match=r"another network than the article's: its array 1 is 3×3×3×4, and .*3×3×3×64"
        ):
            read_network(path, "article", (SIDE, SIDE))


class TestTheLastActivation:
    @pytest.mark.parametrize(
        ("last", "found"),
        [
            ([layers.Dense(2, activation="softmax")], "softmax"),
            ([layers.Dense(3, activation="sigmoid")], "sigmoid"),
            ([layers.Dense(1, activation="sigmoid")], "sigmoid"),
            ([layers.Dense(2), layers.Softmax()], "softmax"),
            ([layers.Dense(2), layers.Activation("sigmoid")], "sigmoid"),
            ([layers.Dense(2)], "softmax"),
            ([layers.Dense(1)], "sigmoid"),
        ],
    )
    def test_says_how_outputs_are_read(self, last: list[Any], found: str) -> None:
        network = small(*last)
        assert activation_of(network, examine(network, (16, 16, 3))) == found

    @pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1:UserWarning")
    @pytest.mark.parametrize(
        ("last", "sentence"),
        [
            ([layers.Dense(2, activation="relu")], "The network ends in relu"),
            ([layers.Dense(1, activation="softmax")], "a softmax over one output, which is always 1"),
            ([layers.Dense(2), layers.BatchNormalization(name="norm")], r"an activation \(norm\)"),
        ],
    )
    def test_that_says_nothing_is_refused(self, last: list[Any], sentence: str) -> None:
        network = small(*last)
        with pytest.raises(BundleError, match=sentence):
            activation_of(network, examine(network, (16, 16, 3)))


def test_a_single_output_can_be_turned_around() -> None:
    network = small(layers.Dense(1, activation="sigmoid"))
    before = answers(network)
    turn_around(examine(network, (16, 16, 3)))
    assert np.allclose(answers(network), 1 - before, atol=1e-6)
    with pytest.raises(BundleError, match="cannot be inverted"):
        turn_around(examine(small(layers.Dense(1), layers.Activation("sigmoid")), (16, 16, 3)))
