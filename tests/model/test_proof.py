"""The proof: what passes in which precision, what `auto` takes and remembers, and what a refusal says."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.golden import golden_bundle, spoilt, turned
from support.networks import sequential, with_golden_images

from inspectd.errors import BundleError
from inspectd.model import devices
from inspectd.model.bundle import Bundle, write_bundle
from inspectd.model.choices import Choices
from inspectd.model.engine import backend
from inspectd.model.golden import read_golden
from inspectd.model.keras_inspector import KerasInspector
from inspectd.model.loading import open_inspector, verify
from inspectd.model.null import write_null_bundle
from inspectd.model.proof import cosine
from inspectd.model.spec import Thresholds
from inspectd.model.verdict import margin

LARGE, TINY = 100.0, 1e-3  # gaps, beside which the error of bfloat16 is nothing, or everything


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every processor computes in bfloat16; only some do it fast."""
    monkeypatch.setattr(devices, "processor_has_bfloat16", lambda: True)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, float], Bundle]:
    """Makes bundles of one small network with golden images, of the gap that is asked for."""
    return with_golden_images(tmp_path_factory.mktemp("network"))


@pytest.mark.usefixtures("with_bfloat16")
class TestAuto:
    def test_takes_bfloat16_where_it_passes(
        self, network: Callable[[Path, float], Bundle], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        bundle = network(tmp_path / "bundle", LARGE)
        with caplog.at_level("INFO"):
            inspector = open_inspector(bundle, "cpu")
        assert inspector.precision == "bfloat16"
        assert inspector.remarks == []
        assert "reproduces its 2 golden images on cpu in bfloat16: logits within 0.0" in caplog.text

    def test_takes_float32_where_bfloat16_is_too_far_off_and_says_so_each_time(
        self, network: Callable[[Path, float], Bundle], tmp_path: Path
    ) -> None:
        bundle = network(tmp_path / "bundle", TINY)
        remembered = Choices(tmp_path / "precisions.json")
        first = open_inspector(bundle, "cpu", choices=remembered)
        again = open_inspector(bundle, "cpu", choices=remembered)
        assert (first.precision, again.precision) == ("float32", "float32")
        assert first.remarks == again.remarks
        assert "does not reproduce 2 of its 2 golden images on cpu in bfloat16" in first.remarks[0]
        assert "of the validation logit gap, 5% is allowed" in first.remarks[0]
        assert first.remarks[0].endswith("It runs in float32.")

    def test_opens_only_the_precision_that_is_remembered(
        self, network: Callable[[Path, float], Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = []
        load = KerasInspector.__init__

        def noting(self: KerasInspector, bundle: Bundle, device: str, precision: str, *method: str) -> None:
            opened.append(precision)
            load(self, bundle, device, precision, *method)  # type: ignore[arg-type]

        monkeypatch.setattr(KerasInspector, "__init__", noting)
        bundle = network(tmp_path / "bundle", TINY)
        remembered = Choices(tmp_path / "precisions.json")
        for _ in range(2):
            open_inspector(bundle, "cpu", choices=remembered)
        assert opened == ["bfloat16", "float32", "float32"]
        monkeypatch.setattr(backend, "SOFTWARE", "inspectd 99")
        open_inspector(bundle, "cpu", choices=remembered)
        assert opened[3:] == ["bfloat16", "float32"], "another version proves anew"

    def test_a_network_that_does_not_pass_leaves_the_memory_before_the_next_is_loaded(
        self, network: Callable[[Path, float], Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened: list[weakref.ref[KerasInspector]] = []
        load = KerasInspector.__init__

        def noting(self: KerasInspector, bundle: Bundle, device: str, precision: str, *method: str) -> None:
            assert [each() for each in opened] == [None] * len(opened)
            load(self, bundle, device, precision, *method)  # type: ignore[arg-type]
            opened.extend(map(weakref.ref, (self, self._call.network)))

        monkeypatch.setattr(KerasInspector, "__init__", noting)
        assert open_inspector(network(tmp_path / "bundle", TINY), "cpu").precision == "float32"
        assert len(opened) == 4

    def test_what_is_remembered_is_proven_again(self, network: Callable[[Path, float], Bundle], tmp_path: Path) -> None:
        bundle = network(tmp_path / "bundle", TINY)
        remembered = Choices(tmp_path / "precisions.json")
        open_inspector(bundle, "cpu", choices=remembered)
        remembered.path.write_text(remembered.path.read_text().replace('"float32"', '"bfloat16"'))
        assert open_inspector(bundle, "cpu", choices=remembered).precision == "float32"

    @pytest.mark.parametrize("content", [b"", b"\0\0", b'{"a": 1}', b"[]"])
    def test_a_broken_memory_is_none(
        self, content: bytes, network: Callable[[Path, float], Bundle], tmp_path: Path
    ) -> None:
        remembered = Choices(tmp_path / "precisions.json")
        remembered.path.write_bytes(content)
        assert open_inspector(network(tmp_path / "bundle", LARGE), "cpu", choices=remembered).precision == "bfloat16"
        assert "bfloat16" in remembered.path.read_text()

    def test_a_memory_that_cannot_be_written_is_a_warning(
        self, network: Callable[[Path, float], Bundle], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").touch()
        remembered = Choices(tmp_path / "file" / "precisions.json")
        assert open_inspector(network(tmp_path / "bundle", LARGE), "cpu", choices=remembered).precision == "bfloat16"
        assert "the next start proves every precision again" in caplog.text


class TestReduced:
    def test_one_that_is_asked_for_and_fails_is_refused(
        self, network: Callable[[Path, float], Bundle], tmp_path: Path
    ) -> None:
        bundle = network(tmp_path / "bundle", TINY)
        with pytest.raises(BundleError, match=r"in bfloat16: golden/00.*, 5% is allowed.*Set `precision: auto`"):
            open_inspector(bundle, "cpu", "bfloat16")
        assert open_inspector(bundle, "cpu", "float32").precision == "float32"

    def test_no_verdict_may_change(self, network: Callable[[Path, float], Bundle], tmp_path: Path) -> None:
        """A threshold between the logits of the two precisions; beside the gap they are next to nothing apart."""
        base = network(tmp_path / "bundle", LARGE)
        golden = read_golden(base)
        assert golden is not None
        (half,) = verify(base, "cpu", "bfloat16")
        spec = base.spec
        exact, reduced = (
            margin(logits, spec.classes, spec.activation)
            for logits in (golden.images[0].logits, half.images[0].found.logits)
        )
        between = replace(spec, thresholds=Thresholds((exact + reduced) / 2))
        bundle = write_bundle(tmp_path / "between", between, {}, base)
        (proof,) = verify(bundle, "cpu", "bfloat16")
        assert half.passed
        assert not proof.passed
        assert {proof.images[0].expected, proof.images[0].found.verdict} == {"ok", "defect"}
        assert " instead of " in str(proof)
        assert "is allowed" not in str(proof), "only what fails is told"
        assert verify(bundle, "cpu", "float32")[0].passed

    def test_the_heat_must_point_where_it_did(self, network: Callable[[Path, float], Bundle], tmp_path: Path) -> None:
        bundle = turned(network(tmp_path / "bundle", LARGE), tmp_path / "turned")
        (proof,) = verify(bundle, "cpu", "bfloat16")
        assert not proof.passed
        assert "golden images on cpu in bfloat16: golden/00" in str(proof)
        assert str(proof).endswith(", 0.99 is needed")
        assert verify(bundle, "cpu", "float32")[0].passed, "float32 is held to its logits"


class TestFloat32:
    @pytest.mark.parametrize(("by", "passes"), [(0.009, True), (0.011, False)])
    def test_is_held_to_one_percent_of_the_gap(self, by: float, passes: bool, tmp_path: Path) -> None:
        (proof,) = verify(spoilt(golden_bundle(tmp_path), tmp_path / "spoilt", by), "auto", "auto")
        assert proof.passed == passes
        assert [each.share for each in proof.images] == [pytest.approx(by, rel=1e-4)] * 8

    def test_a_bundle_that_is_not_reproduced_is_refused_with_the_figures(self, tmp_path: Path) -> None:
        bundle = spoilt(golden_bundle(tmp_path), tmp_path / "spoilt", 0.5)
        with pytest.raises(
            BundleError,
            match=r"golden@\w{8} does not reproduce 8 of its 8 golden images on cpu in float32: golden/00.*png: its "
            r"logit is off by 50\.00% of the validation logit gap, 1% is allowed\. The network computes something else",
        ):
            open_inspector(bundle)

    def test_every_image_is_a_sign_of_life(self, tmp_path: Path) -> None:
        signs: list[None] = []
        open_inspector(golden_bundle(tmp_path), alive=lambda: signs.append(None))
        assert len(signs) == 8


class TestCosine:
    def test_knows_direction_and_not_strength(self) -> None:
        heat = np.random.default_rng(1).random((16, 16), np.float32)
        assert cosine(heat, 3 * heat, 0.0) == pytest.approx(1)
        assert cosine(heat, heat[::-1], 0.0) < 0.95

    def test_no_heat_is_like_no_heat_and_unlike_any(self) -> None:
        none, some = np.zeros((16, 16), np.float32), np.ones((16, 16), np.float32)
        assert cosine(none, none, 0.0) == 1
        assert cosine(none, some, 0.0) == cosine(some, none, 0.0) == 0
        assert cosine(0.1 * some, none, 0.2) == 1
        assert cosine(np.nan * some, some, 0.0) == 0


class TestWithoutGoldenImages:
    def test_a_network_is_opened_with_a_remark(self, tmp_path: Path) -> None:
        inspector = open_inspector(sequential().bundle(tmp_path), "cpu")
        assert (inspector.precision, len(inspector.remarks)) == ("float32", 1)
        assert "has no golden images, so it is not proven" in inspector.remarks[0]

    @pytest.mark.usefixtures("with_bfloat16")
    def test_auto_is_the_precision_of_the_evaluation(self, tmp_path: Path) -> None:
        bundle = sequential().bundle(tmp_path, evaluated_in="bfloat16")
        assert open_inspector(bundle, "cpu").precision == "bfloat16"
        assert "runs in float32: its scores" in open_inspector(bundle, "cpu", "float32").remarks[1]

    def test_the_null_network_needs_none(self, tmp_path: Path) -> None:
        assert open_inspector(write_null_bundle(tmp_path / "null")).remarks == []

    def test_there_is_nothing_to_verify(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="has no golden images, so there is nothing to reproduce"):
            verify(write_null_bundle(tmp_path / "null"), "cpu", "auto")
