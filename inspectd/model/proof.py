"""The proof: an inspector reproduces its bundle's golden images on this very device, in this precision, or stays out.

float32 passes when no logit is farther off than 1 % of the validation logit gap. A reduced precision passes when every
verdict is the expected one, no logit is farther off than 5 % of the gap (bfloat16) or 25 % (int8), and the heat points
where it did (cosine ≥ 0.99, or 0.95). `auto` takes the fastest that passes, else float32; int8 only where it ranked the
validation images as well as float32. Which of the two is faster differs: it is measured.
"""

import gc
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inspectd.errors import BundleError
from inspectd.ledger.schema import Verdict
from inspectd.model.bundle import Bundle
from inspectd.model.choices import Choice, Choices, choice_key
from inspectd.model.golden import Golden, GoldenImage, find_golden, grid, read_golden
from inspectd.model.inspector import Finding, Inspector, load_inspector
from inspectd.model.spec import Method, Precision
from inspectd.model.verdict import decide, margin

log = logging.getLogger(__name__)

ALLOWED: dict[Precision, float] = {"float32": 0.01, "bfloat16": 0.05, "int8": 0.25}  # shares of the gap
ALIKE: dict[Precision, float] = {"bfloat16": 0.99, "int8": 0.95}  # the least cosine of a reduced precision's heat
ADVICE = "Train it again, or import it with --golden, to have some."
DARK = 0.01  # of full colour: heat that stays below is none
BATCH, ROUNDS = 8, 3  # images and calls to tell which precision is faster: the quietest call counts


@dataclass(frozen=True)
class Reproduced:
    """One golden image as it was found.

    Attributes:
        expected: The verdict that the expected logits have under the bundle's thresholds.
        share: The largest difference of a logit, as a share of the gap; infinite if one is no number.
        cosine: Of the found heat with the expected one, 0..1; None if there is none to compare with.
    """

    image: GoldenImage
    expected: Verdict
    found: Finding
    share: float
    cosine: float | None

    def faults(self, precision: Precision) -> list[str]:
        """Why it does not pass, with the figures; nothing where it does."""
        faults = []
        if self.share > ALLOWED[precision]:
            allowed = f"{ALLOWED[precision]:.0%} is allowed"
            faults.append(f"its logit is off by {self.share:.2%} of the validation logit gap, {allowed}")
        if precision != "float32":
            if self.found.verdict != self.expected:
                faults.append(f"its verdict is {self.found.verdict} instead of {self.expected}")
            if self.cosine is None:
                faults.append(f"it expects no heat of {self.found.method}")
            elif not self.cosine >= ALIKE[precision]:
                faults.append(f"its heat has cosine {self.cosine:.3f}, {ALIKE[precision]} is needed")
        return faults


@dataclass(frozen=True)
class Proof:
    """What came of reproducing all of a bundle's golden images."""

    title: str
    device: str
    precision: Precision
    images: tuple[Reproduced, ...]

    @property
    def passed(self) -> bool:
        return not any(each.faults(self.precision) for each in self.images)

    def as_dicts(self) -> list[dict[str, Any]]:
        """One for each image, as JSON has it: a number that is none is null."""
        return [
            {
                "precision": self.precision,
                "device": self.device,
                "image": each.image.file,
                "class": each.image.target,
                "expected_verdict": str(each.expected),
                "verdict": str(each.found.verdict),
                "expected_logits": list(each.image.logits),
                "logits": [logit if math.isfinite(logit) else None for logit in each.found.logits],
                "share": each.share if math.isfinite(each.share) else None,
                "cosine": each.cosine,
                "passes": not each.faults(self.precision),
            }
            for each in self.images
        ]

    def __str__(self) -> str:
        """The result in a sentence without a full stop."""
        where = f"on {self.device} in {self.precision}"
        failed = [each for each in self.images if each.faults(self.precision)]
        if not failed:
            most = max(each.share for each in self.images)
            found = f"logits within {most:.2%} of the validation logit gap, {ALLOWED[self.precision]:.0%} is allowed"
            return f"{self.title} reproduces its {len(self.images)} golden images {where}: {found}"
        worst = max(failed, key=lambda each: each.share)
        count = f"{len(failed)} of its {len(self.images)} golden images"
        faults = "; ".join(worst.faults(self.precision))
        return f"{self.title} does not reproduce {count} {where}: {worst.image.file}: {faults}"


def open_proven(
    bundle: Bundle,
    device: str,
    wanted: Precision | Literal["auto"],
    method: Method,
    choices: Choices | None,
    alive: Callable[[], None],
) -> Inspector:
    """See `inspector.open_inspector`."""
    place, possible = _possible(bundle, device)
    golden = read_golden(bundle)
    if golden is None:
        precision = _of_the_evaluation(bundle, possible) if wanted == "auto" else wanted
        return _open_unproven(bundle, device, precision, method, alive)
    if wanted != "auto":
        possible = (wanted,)
    remembered = choices if len(possible) > 1 else None
    name = choice_key(bundle, place, method) if remembered else ""  # the key names TensorFlow, and so imports it
    known = remembered.recall(name) if remembered else None
    if known:
        order, slower = possible[possible.index(known.precision) :], known.why
    else:
        order, slower = _fastest_first(bundle, device, method, possible, alive)
    inspector, proofs = _first_to_pass(bundle, device, method, golden, order, alive)
    *refused, proof = proofs
    if inspector is None:
        raise BundleError(_refusal(proof))
    log.info("%s", proof)
    why = str(refused[-1]) if refused else slower
    choice = Choice(proof.precision, why)
    if remembered and choice != known:
        remembered.note(name, choice)
    if why:
        inspector.remarks.append(f"{why}. It runs in {proof.precision}.")
    return inspector


def verify(bundle: Bundle, device: str, wanted: Precision | Literal["auto"], method: Method = "gradcam") -> list[Proof]:
    """The proofs that a worker would try, in their order: the last one decides.

    Raises:
        BundleError: there are no golden images, or the bundle cannot be opened.
        DeviceError: the device is not there.
    """
    golden = read_golden(bundle)
    if golden is None:
        raise BundleError(f"{bundle.path} has no golden images, so there is nothing to reproduce. {ADVICE}")
    possible = _possible(bundle, device)[1] if wanted == "auto" else (wanted,)
    order, _ = _fastest_first(bundle, device, method, possible, lambda: None)
    return _first_to_pass(bundle, device, method, golden, order, lambda: None)[1]


def prove(inspector: Inspector, golden: Golden, alive: Callable[[], None]) -> Proof:
    """Reproduces every golden image; `alive` is called after each."""
    images = []
    for image in golden.images:
        images.append(_reproduce(inspector, image, golden.gap))
        alive()
    return Proof(inspector.bundle.title, inspector.device, inspector.precision, tuple(images))


def cosine(found: NDArray[np.float32], expected: NDArray[np.float32], dark: float) -> float:
    """The cosine of two heats (16, 16), ≥ 0: 1 where they point alike, whatever their strength; 0 for no numbers.

    Heat that is nowhere above `dark` is none: two such are alike (1), and one beside a real one is not (0).
    """
    is_dark = [float(heat.max()) <= dark for heat in (found, expected)]
    if any(is_dark):
        return float(all(is_dark))
    alike = float((found * expected).sum() / (np.linalg.norm(found) * np.linalg.norm(expected)))
    return alike if math.isfinite(alike) else 0.0


def _fastest_first(
    bundle: Bundle, device: str, method: Method, possible: tuple[Precision, ...], alive: Callable[[], None]
) -> tuple[tuple[Precision, ...], str | None]:
    """`possible`, whose last is float32, by what an image takes here, and why what should be the fastest is not."""
    if len(possible) < 3:
        return possible, None
    took: dict[Precision, float] = {}
    for precision in possible[:-1]:
        inspector = load_inspector(bundle, device, precision, method, alive)
        took[precision] = min(inspector.warm_up(BATCH) for _ in range(ROUNDS)) * 1000 / BATCH
        del inspector
        gc.collect()  # a network is large, and full of cycles: never two of them at once
        alive()
    fast, slow = sorted(took, key=took.__getitem__)
    sentence = f"{bundle.title}: {slow} takes {took[slow]:.3g} ms an image on this device, {fast} {took[fast]:.3g} ms"
    log.info("%s", sentence)
    return (fast, slow, possible[-1]), sentence if fast != possible[0] else None


def _first_to_pass(
    bundle: Bundle,
    device: str,
    method: Method,
    golden: Golden,
    order: Sequence[Precision],
    alive: Callable[[], None],
) -> tuple[Inspector | None, list[Proof]]:
    """Try one precision after the other until one passes; returns its inspector, if one passes, and all proofs."""
    proofs = []
    for precision in order:
        inspector = load_inspector(bundle, device, precision, method, alive)
        proofs.append(prove(inspector, golden, alive))
        if proofs[-1].passed:
            return inspector, proofs
        del inspector
        gc.collect()  # a network is large, and full of cycles: never two of them at once
    return None, proofs


def _reproduce(inspector: Inspector, image: GoldenImage, gap: float) -> Reproduced:
    spec = inspector.bundle.spec
    found = find_golden(inspector, image)
    if len(found.logits) != len(image.logits):
        raise BundleError(
            f"{image.file} expects {len(image.logits)} logits, but the network gives {len(found.logits)}."
        )
    share = float(np.abs(np.subtract(found.logits, image.logits)).max()) / gap
    heat = image.heat.get(found.method)
    return Reproduced(
        image=image,
        expected=decide(margin(image.logits, spec.classes, spec.activation), spec.thresholds),
        found=found,
        share=share if math.isfinite(share) else math.inf,
        cosine=cosine(grid(found.heat), np.array(heat, np.float32), DARK * found.scale.high) if heat else None,
    )


def _open_unproven(
    bundle: Bundle, device: str, precision: Precision, method: Method, alive: Callable[[], None]
) -> Inspector:
    """A bundle without golden images, as it comes, with a remark; the null network is arithmetic and needs none."""
    inspector = load_inspector(bundle, device, precision, method, alive)
    spec = bundle.spec
    if spec.network != "null":
        inspector.remarks.append(f"{bundle.title} has no golden images: nobody has proven it on this device. {ADVICE}")
    if precision != spec.evaluated_in:
        inspector.remarks.append(
            f"{bundle.title} was evaluated in {spec.evaluated_in} and runs in {precision}: its scores, threshold and "
            "heat may differ a little from what was measured."
        )
    return inspector


def _of_the_evaluation(bundle: Bundle, possible: Sequence[Precision]) -> Precision:
    evaluated_in = bundle.spec.evaluated_in
    return evaluated_in if evaluated_in in possible else "float32"


def _possible(bundle: Bundle, device: str) -> tuple[str, tuple[Precision, ...]]:
    """The device in words, and the precisions that `auto` tries on it, the fastest first as far as that is known."""
    if bundle.spec.network == "null":
        return "cpu", ("float32",)
    from inspectd.model.devices import open_device

    place = open_device(device)
    measured = bundle.spec.int8
    fast: list[Precision] = []
    if place.int8 and measured and measured.ranks_as_well:
        fast.append("int8")
    if place.bfloat16:
        fast.append("bfloat16")
    return place.text, (*fast, "float32")


def _refusal(proof: Proof) -> str:
    if proof.precision == "float32":
        return (
            f"{proof}. What runs here is not what was evaluated: go back to the versions or the device before, or make "
            "the bundle anew with these."
        )
    return f"{proof}. Set `precision: auto`, which takes what passes."
