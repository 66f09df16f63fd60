"""`inspectd inspect`: verdict and overlay for named files, with no daemon and no ledger.

The same decoder, network and overlay as in the daemon, one small batch after the other.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inspectd.cli.options import DeviceOption, JsonOption, MethodOption, PrecisionOption
from inspectd.cli.output import printable, say, write_json
from inspectd.domain import DEFAULT_METHOD, support_text
from inspectd.errors import InspectdError
from inspectd.paths import to_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from inspectd.model.inspector import Inspector
    from inspectd.model.pages import Worst
    from inspectd.vision.decode import Decoded, Pages

BATCH = 8


@dataclass(frozen=True)
class InspectAnswer:
    """The answer for one file; names and meanings are those of the ledger's view `verdicts`."""

    path: str
    verdict: str
    reason: str | None = None
    label: str | None = None
    score: float | None = None
    logits: tuple[float, ...] = ()
    regions: tuple[dict[str, Any], ...] = ()
    support: float | None = None
    overlay: str | None = None
    model: str | None = None


def inspect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="The images.")],
    model: Annotated[Path, typer.Option("--model", "-m", metavar="BUNDLE", help="The bundle that judges them.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the overlays go.")] = Path("overlays"),
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    method: MethodOption = DEFAULT_METHOD,
) -> None:
    """Judge files and draw their overlays, with no daemon and no ledger.

    Exits 1 if any of them could not be judged; the others are judged all the same.
    """
    from inspectd.model.bundle import load_bundle
    from inspectd.model.loading import open_inspector

    inspector = open_inspector(load_bundle(model), device, precision, method)
    for remark in inspector.remarks:
        typer.echo(f"inspectd: {remark}", err=True)
    failed: list[str] = []
    answers = _remember_failures(judge(files, inspector, out), failed)
    if as_json:
        write_json(asdict(answer) for answer in answers)
    else:
        for answer in answers:
            say(_line(answer))
    raise typer.Exit(1 if failed else 0)


def judge(files: Sequence[Path], inspector: "Inspector", out: Path) -> Iterator[InspectAnswer]:
    """Judge files in their order; one that is no whole image is an answer too.

    Raises:
        InspectdError: when an overlay cannot be written.
    """
    from inspectd.model.pages import inspect_pages, with_support

    names: dict[str, int] = {}
    for start in range(0, len(files), BATCH):
        batch = [(path, _read(path, inspector)) for path in files[start : start + BATCH]]
        images = [image for _, image in batch if not isinstance(image, str)]
        tensors = [image.tensors for image in images]
        found = iter(with_support(inspector, tensors, list(inspect_pages(inspector, tensors))))
        for path, image in batch:
            text = to_text(str(path))
            if isinstance(image, str):
                yield InspectAnswer(text, "failed", reason=image)
            else:
                yield _conclude(text, image, next(found), inspector, out / _overlay_name(path, inspector, names))


@dataclass(frozen=True)
class _Image:
    """A file whose pages were all decoded, its pages as the network's input, and the pixels of a single one."""

    pages: "Pages"
    tensors: "list[NDArray[np.uint8]]"
    single: "Decoded | None"


def _read(path: Path, inspector: "Inspector") -> _Image | str:
    """The image, or why there is none."""
    from inspectd.config import LimitSettings
    from inspectd.vision.decode import DecodeError, Pages

    limits = LimitSettings()
    try:
        if path.stat().st_size > limits.bytes:
            return f"too large: more than {limits.bytes} bytes"
        pages = Pages(path.read_bytes(), limits.pixels, inspector.bundle.spec.preparation.bits)
        tensors = []
        for page in pages:
            tensors.append(inspector.prepare(page.samples))
        return _Image(pages, tensors, page if len(pages) == 1 else None)
    except OSError as error:
        return f"unreadable: {error.strerror}"
    except DecodeError as error:
        return f"{error.code}: {error.without_limits(limits.pixels)}"
    except MemoryError:
        return "no memory: this machine lacks the memory to decode it"


def _conclude(path: str, image: _Image, worst: "Worst", inspector: "Inspector", overlay: Path) -> InspectAnswer:
    """Draw the overlay of a judged image and say everything about it."""
    from inspectd.model.explanation import explain
    from inspectd.vision.overlay import Style

    finding, page = worst.finding, image.single or image.pages.decode(worst.page)
    support = worst.support.share if worst.support else None
    explanation = explain(finding, page.size, page.doubt, worst.page, len(image.pages), support)
    try:
        overlay.parent.mkdir(parents=True, exist_ok=True)
        overlay.write_bytes(explanation.picture(page.pixels, Style()))
    except OSError as error:
        raise InspectdError(f"The overlay {overlay} cannot be written: {error.strerror}.") from None
    return InspectAnswer(
        path=path,
        verdict=explanation.verdict,
        reason=explanation.reason,
        label=finding.label,
        score=finding.score,
        logits=finding.logits,
        regions=tuple(asdict(region) for region in explanation.regions),
        support=support,
        overlay=to_text(str(overlay)),
        model=inspector.bundle.title,
    )


def _overlay_name(path: Path, inspector: "Inspector", names: dict[str, int]) -> str:
    """``crack.png-1a2b3c4d.jpg``; a second file of that name in one call gets a number."""
    name = printable(to_text(path.name)).encode()[:200].decode(errors="ignore")
    names[name] = names.get(name, 0) + 1
    number = f"-{names[name]}" if names[name] > 1 else ""
    return f"{name}-{inspector.bundle.short}{number}.jpg"


def _remember_failures(answers: Iterable[InspectAnswer], failed: list[str]) -> Iterator[InspectAnswer]:
    for answer in answers:
        if answer.verdict == "failed":
            failed.append(answer.path)
        yield answer


def _line(answer: InspectAnswer) -> str:
    if answer.score is None:
        return f"{answer.path}: {answer.verdict}: {answer.reason}"
    doubt = f" ({answer.reason})" if answer.reason else ""
    explained = "" if answer.support is None else f", {support_text(answer.support)}"
    said = f"{answer.path}: {answer.verdict}{doubt}, {answer.label}, score {answer.score:.3f}{explained}"
    return f"{said}, overlay {answer.overlay}"
