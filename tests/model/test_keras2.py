"""Networks that Keras 2 saved answer as they did there, with every weight in its place; what cannot is refused."""

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from inspectd.errors import BundleError, DataError, InspectdError
from inspectd.model.foreign.network import read_network
from inspectd.model.surgery import load_network

ZOO = Path(__file__).parents[1] / "support" / "keras2_zoo.py"
ANSWERED = ["nested", "shared", "backbone", "prepared", "layers", "arithmetic", "shapes", "nodes"]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of Keras 2 itself: NAME.h5, NAME.keras, and NAME.npz with `pixels` and Keras 2's `answers` to them."""
    folder = tmp_path_factory.mktemp("keras2")
    environment = os.environ | {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, ZOO, folder], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def answers_as_in_keras_2(network: Any, known: Path, tolerance: float = 1e-4) -> bool:
    with np.load(known) as kept:
        given = np.asarray(network(kept["pixels"], training=False))
        return bool(
            np.allclose(given, kept["answers"], rtol=tolerance, atol=tolerance) and np.ptp(given, axis=0).max() > 0
        )


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("name", ANSWERED)
def test_a_network_answers_as_in_keras_2_also_when_keras_3_saved_it(
    name: str, suffix: str, zoo: Path, tmp_path: Path
) -> None:
    network = read_network(zoo / f"{name}.{suffix}", None, None)
    assert answers_as_in_keras_2(network, zoo / f"{name}.npz")
    network.save(tmp_path / "network.keras")
    assert answers_as_in_keras_2(load_network(tmp_path / "network.keras"), zoo / f"{name}.npz")


def test_a_network_that_keras_2_can_save_as_h5_only(zoo: Path) -> None:
    assert answers_as_in_keras_2(read_network(zoo / "caffe.h5", None, None), zoo / "caffe.npz")


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_a_network_in_half_precision(suffix: str, zoo: Path) -> None:
    """Keras 2 takes the mean of a map in half precision, Keras 3 in single."""
    network = read_network(zoo / f"mixed.{suffix}", None, None)
    assert network.layers[-1].dtype_policy.name == "mixed_float16"
    assert answers_as_in_keras_2(network, zoo / "mixed.npz", tolerance=1e-2)


def test_weights_whose_order_only_h5_tells(zoo: Path) -> None:
    with pytest.raises(BundleError, match=r"bidirectional lie in 2 groups.*model\.save\('model\.h5'\)"):
        read_network(zoo / "recurrent.keras", None, None)
    assert answers_as_in_keras_2(read_network(zoo / "recurrent.h5", None, None), zoo / "recurrent.npz")


@pytest.mark.parametrize(("before", "after"), [("h5", "keras"), ("h5", "H5"), ("h5", "model"), ("keras", "h5")])
def test_a_file_is_opened_by_what_it_is(before: str, after: str, zoo: Path, tmp_path: Path) -> None:
    path = tmp_path / f"model.{after}"
    path.write_bytes((zoo / f"nested.{before}").read_bytes())
    assert answers_as_in_keras_2(read_network(path, None, None), zoo / "nested.npz")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("lambda", r"Lambda layer, which would run code from the file: scale\. .*`Rescaling\(1 / 255\)`.*set_weights"),
        ("custom", r"saved by Keras 2, and its layer blur is of the class Blur, .*runs no code from files\. .*Keras's"),
        ("function", r"its layer conv uses doubled, which is not part of Keras"),
        ("operator", r"no counterpart of its operator .*tf\.image\.per_image_standardization\(\)\. .*Keras's own"),
        ("local", r"its layer local is of the class LocallyConnected2D"),
        (
            "two_outputs",
            r"gives 2 outputs \(head_0, head_1\).*keras\.Model\(model\.input, model\.get_layer\('head_0'\)",
        ),
        ("two_inputs", r"takes 2 inputs \(camera_0, camera_1\)"),
    ],
)
@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_what_cannot_be_is_refused_with_what_to_do(name: str, sentence: str, suffix: str, zoo: Path) -> None:
    with pytest.raises(BundleError, match=sentence):
        read_network(zoo / f"{name}.{suffix}", None, None)


def test_the_way_out_of_a_lambda_layer_works(zoo: Path) -> None:
    assert answers_as_in_keras_2(read_network(zoo / "instead.h5", None, None), zoo / "lambda.npz")


@pytest.mark.parametrize("name", ["subclass", "derived"])
def test_the_way_out_of_a_class_of_its_makers_own_works(name: str, zoo: Path) -> None:
    with pytest.raises(BundleError, match=rf"it is a {name.title()}, a class that is not part of Keras"):
        read_network(zoo / f"{name}.keras", None, None)
    assert answers_as_in_keras_2(read_network(zoo / f"of_{name}.h5", None, None), zoo / f"{name}.npz")


def test_the_way_out_of_two_outputs_works(zoo: Path) -> None:
    network = read_network(zoo / "one_output.keras", None, None)
    assert network.output_shape == (None, 2)


def test_the_way_out_of_a_saved_model_works(zoo: Path) -> None:
    for path in (zoo / "saved_model", zoo / "saved_model" / "saved_model.pb"):
        with pytest.raises(
            DataError, match=r"SavedModel of Keras 2\..*load_model\('saved_model'\)\.save\('model\.h5'\)"
        ):
            read_network(path, None, None)
    assert answers_as_in_keras_2(read_network(zoo / "of_saved_model.h5", None, None), zoo / "prepared.npz")


def test_a_saved_model_without_layers_is_refused(zoo: Path) -> None:
    with pytest.raises(DataError, match=r"SavedModel for serving.*model\.save\('model\.keras'\)"):
        read_network(zoo / "exported", None, None)


def described_anew(path: Path, to: Path, change: Callable[[Any], Any]) -> Path:
    """A copy of an `.h5` whose description was changed."""
    to.write_bytes(path.read_bytes())
    with h5py.File(to, "r+") as file:
        file.attrs["model_config"] = json.dumps(change(json.loads(file.attrs["model_config"])))
    return to


def as_keras_2_2(entry: Any) -> Any:
    """Standalone Keras: networks are `Model`, a Sequential is a list, and its first layer has the input's shape."""
    config = entry["config"]
    if "layers" not in config:
        return entry
    inner = [as_keras_2_2(each) for each in config["layers"]]
    if entry["class_name"] == "Functional":
        return entry | {"class_name": "Model", "config": config | {"layers": inner}}
    first, *others = inner
    assert first["class_name"] == "InputLayer"
    if isinstance(others[0]["config"], dict):
        others[0]["config"]["batch_input_shape"] = first["config"]["batch_input_shape"]
    return entry | {"config": others}


@pytest.mark.parametrize("name", ["nested", "shared"])
def test_a_file_of_standalone_keras(name: str, zoo: Path, tmp_path: Path) -> None:
    path = described_anew(zoo / f"{name}.h5", tmp_path / "model.h5", as_keras_2_2)
    assert answers_as_in_keras_2(read_network(path, None, None), zoo / f"{name}.npz")


def test_an_option_that_keras_3_lacks_is_refused_where_it_means_something(zoo: Path, tmp_path: Path) -> None:
    def in_parts(entry: Any) -> Any:
        return json.loads(json.dumps(entry).replace('"momentum":', '"virtual_batch_size": 4, "momentum":'))

    path = described_anew(zoo / "nested.h5", tmp_path / "model.h5", in_parts)
    with pytest.raises(BundleError, match=r"batch_normalization.* \(BatchNormalization\) has virtual_batch_size=4"):
        read_network(path, None, None)


def with_weights(path: Path, to: Path, change: Callable[[Any], None]) -> Path:
    """A copy of a `.keras` whose weights were changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = io.BytesIO(members["model.weights.h5"])
    with h5py.File(data, "r+") as file:
        change(file)
    members["model.weights.h5"] = data.getvalue()
    with zipfile.ZipFile(to, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return to


def as_windows(file: Any) -> None:
    """TensorFlow 2.12 on Windows: another name for the layers, and backslashes in names."""
    arrays: dict[str, Any] = {}
    file.visititems(lambda name, found: arrays.update({name: found[()]} if isinstance(found, h5py.Dataset) else {}))
    for name in list(file):
        del file[name]
    for name, array in arrays.items():
        file[
            name.replace("layers", "_layer_checkpoint_dependencies").replace("/", "\\").replace("\\vars\\", "/vars/")
        ] = array


def test_a_file_of_windows(zoo: Path, tmp_path: Path) -> None:
    path = with_weights(zoo / "nested.keras", tmp_path / "model.keras", as_windows)
    assert answers_as_in_keras_2(read_network(path, None, None), zoo / "nested.npz")


class TestNoWeightIsLeftAsItWas:
    def test_where_one_is_missing(self, zoo: Path, tmp_path: Path) -> None:
        path = with_weights(zoo / "nested.keras", tmp_path / "a.keras", lambda file: file.pop("layers/dense/vars/1"))
        with pytest.raises(BundleError, match=r"layer dense\S* do not fit: of 1 the file's number 2 is missing"):
            read_network(path, None, None)

    def test_where_a_layer_has_none(self, zoo: Path, tmp_path: Path) -> None:
        path = with_weights(zoo / "nested.keras", tmp_path / "a.keras", lambda file: file.pop("layers/dense"))
        with pytest.raises(BundleError, match=r"layer dense\S* do not fit: of 0 the file's number 1 is missing"):
            read_network(path, None, None)

    @pytest.mark.parametrize("order", [[1, 0], [0]])
    def test_where_h5_has_others(self, order: list[int], zoo: Path, tmp_path: Path) -> None:
        path = tmp_path / "model.h5"
        path.write_bytes((zoo / "nested.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            group = next(group for name, group in file["model_weights"].items() if name.startswith("dense"))
            group.attrs["weight_names"] = group.attrs["weight_names"][order]
        with pytest.raises(BundleError, match=r"weights of its layer dense\S* do not fit"):
            read_network(path, None, None)

    def test_where_weights_of_one_shape_stand_in_each_others_place(self, zoo: Path, tmp_path: Path) -> None:
        path = tmp_path / "model.h5"
        path.write_bytes((zoo / "layers.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            attributes = file["model_weights/layer_normalization"].attrs
            attributes["weight_names"] = attributes["weight_names"][::-1]
        with pytest.raises(BundleError, match=r"number 1 is beta of 4, and of 2 the network's is gamma of 4"):
            read_network(path, None, None)

    def test_but_states_of_random_numbers_are_left_out(self, zoo: Path, tmp_path: Path) -> None:
        path = tmp_path / "model.h5"
        path.write_bytes((zoo / "prepared.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            group = next(group for name, group in file["model_weights"].items() if name.startswith("sequential"))
            group.attrs["weight_names"] = [b"random_flip/StateVar:0"]
            group["random_flip/StateVar:0"] = np.array([1, 2, 3], np.int64)
        assert answers_as_in_keras_2(read_network(path, None, None), zoo / "prepared.npz")


def test_a_damaged_file_is_refused_in_a_sentence(zoo: Path, tmp_path: Path) -> None:
    for suffix in ("h5", "keras"):
        whole = (zoo / f"nested.{suffix}").read_bytes()
        path = tmp_path / f"model.{suffix}"
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InspectdError, match=r"model\.\w+ (cannot be|is neither)"):
            read_network(path, None, None)
