"""Verdict and heat of real networks against references written out by hand (see `support.networks`)."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from support.networks import CASES, OK_NG, Case, nested, sequential, subclassed

from inspectd.domain import METHOD_NAMES, Method, Verdict
from inspectd.errors import BundleError
from inspectd.model import keras_inspector
from inspectd.model.bundle import Bundle, write_bundle
from inspectd.model.engine.backend import keras
from inspectd.model.engine.on_tensorflow import tf
from inspectd.model.explanation import explain
from inspectd.model.inspector import Finding
from inspectd.model.keras_inspector import KerasInspector, batch_sizes, next_batch
from inspectd.model.loading import open_inspector
from inspectd.model.spec import HeatScale, ImageClass, Preparation, Thresholds
from inspectd.worker.judge import stored_heat

EXACT = 1e-4  # relative to the largest value


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def heats(findings: list[Finding]) -> np.ndarray:
    return np.stack([finding.heat for finding in findings])


def logits(findings: list[Finding]) -> np.ndarray:
    return np.array([finding.logits for finding in findings])


@dataclass(frozen=True)
class Opened:
    """A network, opened from the bundle it was saved into, and what its reference gives for some images."""

    case: Case
    inspector: KerasInspector
    images: list[np.ndarray]
    logits: np.ndarray
    heat: dict[Method, np.ndarray]


@pytest.fixture(scope="module", params=CASES)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    keras.utils.set_random_seed(3)
    case = CASES[request.param]()
    bundle = case.bundle(tmp_path_factory.mktemp("case"))
    images = case.images(2)
    return Opened(case, KerasInspector(bundle, device="cpu", precision="float32"), images, *case.references(images))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Bundle]:
    keras.utils.set_random_seed(3)
    case = sequential()
    return case, case.bundle(tmp_path_factory.mktemp("plain"))


class TestGradCam:
    def test_equals_the_whole_graph_reference(self, opened: Opened) -> None:
        findings = opened.inspector.inspect(opened.images)
        assert opened.heat["gradcam"].max() > 0
        assert difference(heats(findings), opened.heat["gradcam"]) < EXACT
        assert difference(logits(findings), opened.logits) < EXACT
        assert heats(findings).dtype == np.float32

    def test_a_batch_of_four_equals_four_of_one(self, opened: Opened) -> None:
        images, inspector = opened.case.images(4), opened.inspector
        singly = [inspector.inspect([image])[0] for image in images]
        inspector.warm_up(4)
        together = inspector.inspect(images)
        assert difference(heats(together), heats(singly)) < EXACT
        assert difference(logits(together), logits(singly)) < EXACT
        assert inspector.traces == 1

    def test_so_do_the_other_methods_when_asked_for(self, opened: Opened) -> None:
        for method in ("layercam", "hirescam"):
            findings = opened.inspector.inspect(opened.images, [method])
            assert opened.heat[method].max() > 0
            assert difference(heats(findings), opened.heat[method]) < EXACT
            assert difference(logits(findings), opened.logits) < EXACT
            assert findings[0].method == method

    def test_tells_the_maxima_of_all_that_are_asked_for(self, opened: Opened) -> None:
        finding, _ = opened.inspector.inspect(opened.images, METHOD_NAMES)
        wanted = {each: opened.heat[each][0] for each in METHOD_NAMES}
        assert difference(finding.heat, wanted["gradcam"]) < EXACT
        assert finding.maxima == pytest.approx({each: heat.max() for each, heat in wanted.items()}, rel=EXACT)

    def test_only_a_loose_activation_is_remarked_on(self, opened: Opened) -> None:
        loose = getattr(opened.case.network, "loose", False)
        assert any("last activation" in remark for remark in opened.inspector.remarks) == loose

    @pytest.mark.parametrize("opened", ["article"], indirect=True)
    def test_the_articles_network_has_its_size(self, opened: Opened) -> None:
        assert opened.case.network.count_params() == 40_407_874

    def test_survives_saturated_outputs(self, tmp_path: Path) -> None:
        case = subclassed()
        images = case.images(2)
        _, wanted = case.reference(images)
        case.network.decision.bias.assign([-900.0, 900.0])
        probabilities = case.network(np.stack(images) / np.float32(255)).numpy()
        assert (probabilities == [0.0, 1.0]).all()
        findings = KerasInspector(case.bundle(tmp_path), "cpu", "float32").inspect(images)
        assert all(finding.verdict == Verdict.DEFECT for finding in findings)
        assert difference(heats(findings), wanted) < EXACT

    def test_explains_the_defect_or_the_predicted_class(self, plain: tuple[Case, Bundle], tmp_path: Path) -> None:
        case, _ = plain
        case.network.layers[-2].bias.assign([5.0, 0.0])
        try:
            defect = KerasInspector(case.bundle(tmp_path), "cpu").inspect(case.images(1))[0]
            (tmp_path / "second").mkdir()
            predicted = case.bundle(tmp_path / "second", explain="predicted")
            shown = KerasInspector(predicted, "cpu").inspect(case.images(1))[0]
        finally:
            case.network.layers[-2].bias.assign([0.0, 0.0])
        assert (defect.verdict, defect.label, defect.explained) == (Verdict.OK, "ok", "scratch")
        assert (shown.verdict, shown.label, shown.explained) == (Verdict.OK, "ok", "ok")
        assert difference(shown.heat, defect.heat) > 0.01

    @pytest.mark.parametrize("bias", [float("nan"), float("-inf")])
    def test_an_answer_that_is_no_number_is_for_review(self, tmp_path: Path, bias: float) -> None:
        case = subclassed()
        case.network.decision.bias.assign([0.0, bias])
        (finding,) = KerasInspector(case.bundle(tmp_path), "cpu", "float32").inspect(case.images(1))
        assert (finding.verdict, finding.explained) == (Verdict.REVIEW, "scratch")
        explanation = explain(finding, (64, 64), None)
        assert (explanation.reason or "").startswith("no answer:")
        assert stored_heat(finding.heat).maximum >= 0

    def test_a_single_unit_explains_the_defect(self, tmp_path: Path) -> None:
        keras.utils.set_random_seed(3)
        case = nested()
        (finding,) = KerasInspector(case.bundle(tmp_path), "cpu").inspect(case.images(1))
        assert finding.explained == "scratch"
        assert len(finding.logits) == 1
        assert finding.verdict == (Verdict.DEFECT if finding.logits[0] >= 0 else Verdict.OK)


class TestMethods:
    def test_is_the_inspectors_own(self, plain: tuple[Case, Bundle]) -> None:
        case, bundle = plain
        images = case.images(3)
        findings = open_inspector(bundle, "cpu", "float32", "hirescam").inspect(images)
        assert difference(heats(findings), case.reference(images, "hirescam")[1]) < EXACT
        assert {finding.method for finding in findings} == {"hirescam"}

    def test_each_has_its_own_scale(self, plain: tuple[Case, Bundle], tmp_path: Path) -> None:
        scales = {
            method: {"ok": HeatScale(low, 9.0), "scratch": HeatScale(low, 9.0)}
            for low, method in enumerate(METHOD_NAMES)
        }
        inspector = KerasInspector(plain[0].bundle(tmp_path, heat_scale=scales), "cpu")
        found = {method: inspector.inspect(plain[0].images(1), [method])[0].scale.low for method in METHOD_NAMES}
        assert found == {"gradcam": 0, "layercam": 1, "hirescam": 2}

    def test_one_without_a_scale_is_refused(self, plain: tuple[Case, Bundle], tmp_path: Path) -> None:
        bundle = plain[0].bundle(tmp_path, heat_scale={"gradcam": {"scratch": HeatScale(0.0, 1.0)}})
        with pytest.raises(BundleError, match=r"has no heat scale for layercam.*Choose gradcam, or train it again"):
            open_inspector(bundle, "cpu", method="layercam")


CALLS: list[int] = []


@keras.saving.register_keras_serializable("tests")
class Counted(keras.layers.Layer):
    """Passes its input on and counts how often that really happens."""

    def call(self, inputs: object) -> object:
        def count(values: object) -> object:
            CALLS.append(1)
            return values

        return tf.ensure_shape(tf.py_function(count, [inputs], tf.float32), inputs.shape)


def test_one_forward_pass_gives_verdict_and_heat(tmp_path: Path) -> None:
    case = sequential()
    network = keras.Sequential([keras.Input((48, 48, 3)), Counted(), *case.network.layers])
    inspector = KerasInspector(replace(case, network=network).bundle(tmp_path), "cpu")
    inspector.warm_up(4)
    CALLS.clear()
    findings = inspector.inspect(case.images(4))
    assert len(CALLS) == 1
    assert heats(findings).max(axis=(1, 2)).min() > 0


class TestPrecision:
    def test_bfloat16_gives_finite_heat_like_that_of_float32(self, tmp_path: Path) -> None:
        keras.utils.set_random_seed(3)
        case = nested()
        bundle = case.bundle(tmp_path)
        exact = KerasInspector(bundle, "cpu", "float32").inspect(case.images(3))
        half = KerasInspector(bundle, "cpu", "bfloat16")
        found = half.inspect(case.images(3))
        assert half.precision == "bfloat16"
        assert heats(found).dtype == np.float32
        assert np.isfinite(heats(found)).all()
        assert not np.array_equal(heats(found), heats(exact)), "bfloat16 was not used"
        cosine = (heats(found) * heats(exact)).sum() / np.linalg.norm(heats(found)) / np.linalg.norm(heats(exact))
        assert cosine > 0.99
        assert difference(logits(found), logits(exact)) < 0.02

    @pytest.mark.parametrize("kind", ["nested", "mobilenet", "subclassed"])
    def test_weights_kept_in_bfloat16_change_not_a_bit(
        self, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keras.utils.set_random_seed(3)
        case = CASES[kind]()
        bundle = case.bundle(tmp_path)
        narrow = KerasInspector(bundle, "cpu", "bfloat16")
        monkeypatch.setattr(keras_inspector, "narrow_weights", lambda _: None)
        wide = KerasInspector(bundle, "cpu", "bfloat16")
        found, expected = narrow.inspect(case.images(3)), wide.inspect(case.images(3))
        assert np.array_equal(logits(found), logits(expected))
        assert np.array_equal(heats(found), heats(expected))


class TestBatches:
    def test_every_image_is_judged_in_its_place(self, plain: tuple[Case, Bundle]) -> None:
        case, bundle = plain
        inspector = KerasInspector(bundle, "cpu")
        assert inspector.warm_up(16) > 0
        images = case.images(29)
        assert difference(logits(inspector.inspect(images)), case.reference(images)[0]) < EXACT
        with ThreadPoolExecutor(1) as other:  # a worker's batches have threads of their own
            assert other.submit(inspector.inspect, images[:5]).result()
        assert inspector.traces == 1
        assert inspector.inspect([]) == []

    def test_sizes_are_few_and_well_filled(self) -> None:
        assert batch_sizes(16) == (1, 4, 16)
        assert batch_sizes(1) == (1,)
        assert batch_sizes(24) == (1, 4, 16, 24)
        assert [next_batch(waiting, (1, 4, 16)) for waiting in (1, 2, 3, 4, 11, 12, 40)] == [1, 1, 4, 4, 4, 16, 16]


class TestBundlesThatDoNotFit:
    """Each is a sentence that names what to put right."""

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"classes": (*OK_NG, ImageClass("dent", False))}, "3 classes, but the network has 2 outputs"),
            ({"layer": "block9_conv9"}, "no layer block9_conv9"),
            ({"layer": "average"}, "does not output a map"),
            ({"activation": "sigmoid"}, "says sigmoid, but the network ends in softmax"),
            ({"preparation": Preparation(48, 48, 1)}, "does not take an input of"),
        ],
    )
    def test_is_refused(
        self, changes: dict[str, object], sentence: str, plain: tuple[Case, Bundle], tmp_path: Path
    ) -> None:
        network = plain[1].path / "model.keras"
        bundle = write_bundle(tmp_path / "bundle", plain[0].spec(**changes), {"model.keras": network})
        with pytest.raises(BundleError, match=sentence):
            KerasInspector(bundle, "cpu")

    def test_a_lambda_layer_is_never_run(self, tmp_path: Path) -> None:
        case = sequential()
        layers = [keras.Input((48, 48, 3)), keras.layers.Lambda(lambda pixels: pixels * 2), *case.network.layers]
        bundle = replace(case, network=keras.Sequential(layers)).bundle(tmp_path)
        with pytest.raises(BundleError, match="holds a Lambda layer"):
            KerasInspector(bundle, "cpu")

    def test_a_file_that_is_no_network(self, tmp_path: Path) -> None:
        bundle = write_bundle(tmp_path / "bundle", sequential().spec(), {"model.keras": b"nothing"})
        with pytest.raises(BundleError, match="cannot be loaded"):
            KerasInspector(bundle, "cpu")


def test_review_lies_between_two_thresholds(plain: tuple[Case, Bundle], tmp_path: Path) -> None:
    case, _ = plain
    bundle = case.bundle(tmp_path, thresholds=Thresholds(defect=1e6, review=-1e6))
    (finding,) = KerasInspector(bundle, "cpu").inspect(case.images(1))
    assert (finding.verdict, finding.label) == (Verdict.REVIEW, "scratch")


@pytest.mark.long
def test_too_little_memory_is_said_as_python_says_it(tmp_path: Path) -> None:
    """TensorFlow wants four times the 108 MiB of an image, and the system grants little more than its copies take."""
    average, dense, softmax = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2), keras.layers.Softmax()
    coarse = keras.layers.Conv2D(2, 16, 16, name="coarse")
    network = keras.Sequential([keras.Input((6144, 6144, 3)), coarse, average, dense, softmax])
    Case(network, lambda _: (None, None), "coarse", 6144, "softmax").bundle(tmp_path)
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from inspectd.model.bundle import load_bundle
from inspectd.model.keras_inspector import KerasInspector
inspector = KerasInspector(load_bundle(Path(sys.argv[1])), "cpu", "float32")
image = np.zeros((6144, 6144, 3), np.uint8)
lines = Path("/proc/self/status").read_text().splitlines()
used = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:"))
resource.setrlimit(resource.RLIMIT_DATA, (used + (560 << 20), resource.RLIM_INFINITY))
try:
    inspector.inspect([image])
except MemoryError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(len(inspector.inspect([image])), "judged")
"""
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path / "bundle")], capture_output=True, check=True)
    assert ran.stdout.decode().splitlines() == ["cpu: not enough memory for 1 images", "1 judged"]
