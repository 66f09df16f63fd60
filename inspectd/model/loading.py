"""Opens a bundle: loads its network onto a device, where it must reproduce the bundle's golden images.

The worker and the commands call `open_inspector`. `auto` chooses the fastest precision that passes the proof (see
`proof`), or float32; it tries int8 only if int8 ranked the validation images as well as float32. The faster of the
reduced precisions differs between devices, so it is measured. TensorFlow (or JAX) is imported only to open a network:
the null network needs neither.
"""

import gc
import logging
from collections.abc import Callable, Sequence

from inspectd.domain import DEFAULT_METHOD, Method, Precision, PrecisionChoice
from inspectd.errors import BundleError
from inspectd.model.bundle import Bundle
from inspectd.model.choices import Choice, Choices, choice_key
from inspectd.model.golden import Golden, read_golden
from inspectd.model.inspector import Inspector
from inspectd.model.null import NullInspector
from inspectd.model.proof import Proof, prove
from inspectd.model.tiled_inspector import TiledInspector

log = logging.getLogger(__name__)

ADVICE = "Train it again, or import it with --golden, to have some."
BATCH, ROUNDS = 8, 3  # images and calls that find the faster precision: the shortest call counts


def open_inspector(
    bundle: Bundle,
    device: str = "auto",
    precision: PrecisionChoice = "auto",
    method: Method = DEFAULT_METHOD,
    choices: Choices | None = None,
    alive: Callable[[], None] = lambda: None,
) -> Inspector:
    """Loads a bundle's network onto a device, where it must reproduce the bundle's golden images (see `proof`).

    Args:
        device: `auto`, `cpu`, `gpu` or `gpu:N`.
        precision: `auto` is the fastest that passes; without golden images the one in which the bundle was evaluated,
            or float32 if the device lacks it.
        method: How the heat is computed.
        choices: The file that remembers the choice of `auto`.
        alive: Called for each golden image, and later for each call of the network if images come in tiles.

    Raises:
        BundleError: the network differs from the description, fails the proof, or has no heat scale for `method`.
        DeviceError: the device does not exist.
    """
    place, possible = _possible(bundle, device)
    golden = read_golden(bundle)
    if golden is None:
        chosen = _of_the_evaluation(bundle, possible) if precision == "auto" else precision
        return _open_unproven(bundle, device, chosen, method, alive)
    if precision != "auto":
        possible = (precision,)
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


def verify(bundle: Bundle, device: str, wanted: PrecisionChoice, method: Method = DEFAULT_METHOD) -> list[Proof]:
    """The proofs that a worker would try, in order; the last one decides.

    Raises:
        BundleError: there are no golden images, or the bundle cannot be opened.
        DeviceError: the device does not exist.
    """
    golden = read_golden(bundle)
    if golden is None:
        raise BundleError(f"{bundle.path} has no golden images, so there is nothing to reproduce. {ADVICE}")
    possible = _possible(bundle, device)[1] if wanted == "auto" else (wanted,)
    order, _ = _fastest_first(bundle, device, method, possible, lambda: None)
    return _first_to_pass(bundle, device, method, golden, order, lambda: None)[1]


def load_inspector(
    bundle: Bundle,
    device: str,
    precision: Precision,
    method: Method = DEFAULT_METHOD,
    alive: Callable[[], None] = lambda: None,
) -> Inspector:
    """Loads a bundle's network onto a device without the proof.

    Raises:
        BundleError, DeviceError: as `open_inspector`.
    """
    if method not in bundle.spec.heat_scale:
        raise BundleError(
            f"{bundle.path} has no heat scale for {method}, so that its heat could not be read. "
            f"Choose {' or '.join(bundle.spec.heat_scale)}, or train it again: training measures every method."
        )
    inspector = _load_network(bundle, device, precision, method)
    if bundle.spec.tiles is None:
        return inspector
    return TiledInspector(inspector, bundle.spec.tiles, alive)


def _load_network(bundle: Bundle, device: str, precision: Precision, method: Method) -> Inspector:
    if bundle.spec.network == "null":
        return NullInspector(bundle, method)
    from inspectd.model.keras_inspector import KerasInspector  # imports TensorFlow or JAX

    return KerasInspector(bundle, device, precision, method)


def _fastest_first(
    bundle: Bundle, device: str, method: Method, possible: tuple[Precision, ...], alive: Callable[[], None]
) -> tuple[tuple[Precision, ...], str | None]:
    """Returns the precisions, fastest first (float32 last), and the reason if that order surprises."""
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
    """Tries precisions until one passes; returns its inspector (None if none passes) and all proofs."""
    proofs = []
    for precision in order:
        inspector = load_inspector(bundle, device, precision, method, alive)
        proofs.append(prove(inspector, golden, alive))
        if proofs[-1].passed:
            return inspector, proofs
        del inspector
        gc.collect()  # a network is large, and full of cycles: never two of them at once
    return None, proofs


def _open_unproven(
    bundle: Bundle, device: str, precision: Precision, method: Method, alive: Callable[[], None]
) -> Inspector:
    """Opens a bundle without golden images unproven, with a remark; the null network needs no proof."""
    inspector = load_inspector(bundle, device, precision, method, alive)
    spec = bundle.spec
    if spec.network != "null":
        inspector.remarks.append(f"{bundle.title} has no golden images, so it is not proven on this device. {ADVICE}")
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
    """The name of the device, and the precisions that `auto` tries on it, fastest first if known."""
    if bundle.spec.network == "null":
        return "cpu", ("float32",)
    from inspectd.model.devices import open_device  # imports TensorFlow or JAX

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
            f"{proof}. The network computes something else than when it was evaluated: go back to the earlier versions "
            "or device, or create the bundle again with these."
        )
    return f"{proof}. Set `precision: auto`, which takes what passes."
