"""`inspectd bench`: how fast this machine is with a model, and the settings that suit it."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inspectd.cli import output
from inspectd.cli.options import ConfigOption, JsonOption, config_path
from inspectd.cli.progress import screen

if TYPE_CHECKING:
    from inspectd.bench.report import BenchReport


def bench(
    model: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="A bundle or a model. Default: the article's VGG16 with random weights."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Images to inspect, copied from here. Default: the demo camera's, 512×512."),
    ] = None,
    size: Annotated[
        int | None, typer.Option(metavar="N", min=32, max=2048, help="The input of the default network. Default: 224.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.01, max=600, help="About how many minutes it may take.")] = 3,
    tune: Annotated[
        bool,
        typer.Option("--tune", help="Write the settings into the configuration, for the model of its first watch."),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure this machine: the network alone, the work around it, and both together in the real daemon.

    It works in a temporary folder with a daemon of its own. Compare ratios, because times drift on a busy machine.
    """
    from inspectd.bench.bench import SIZE, BenchOptions, bench, model_of
    from inspectd.config import set_worker

    tuned = config_path(config) if tune else None
    if model is None and tuned:
        model = model_of(tuned)
    if model is not None and size is not None:
        raise typer.BadParameter("a model has its own size.", param_hint="--size")
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    try:
        with screen(stderr=True) as shown:
            report = bench(BenchOptions(model, images, size or SIZE, minutes), shown.say)
    except KeyboardInterrupt:
        output.say("Interrupted. Nothing is left running.")
        raise typer.Exit(130) from None
    if as_json:
        output.write_json_lines([report.as_dict()])
    else:
        _tell(report)
    if tuned:
        set_worker(tuned, report.proposal.settings)
        if not as_json:
            output.say(f"Written into {tuned}. A running daemon reads it on a reload (SIGHUP).")


def _tell(report: "BenchReport") -> None:
    """Prints the report: the machine, every measurement with its meaning, the ratios, the settings."""
    from inspectd.bench.report import MEANING, unit
    from inspectd.bench.rounds import middle

    machine, model, images = report.machine, report.model, report.images
    output.say(
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB; {machine['device']}; "
        f"disk: {machine['file_system']}; load at the start: {', '.join(map(str, machine['load']))}."
    )
    output.say(f"{model['title']} at {_by(model['size'])}{', random weights' if model['random_weights'] else ''}.")
    first = images["first"]
    output.say(f"{images['distinct']} images from {images['from']}, the first {_by(first['size'])}.")
    output.say("")
    rows = [
        (
            *(line.name, line.precision or "", str(line.batch or ""), str(line.threads or "")),
            *(_figure(middle(rounds)), unit(line), f"{_figure(min(rounds))}–{_figure(max(rounds))}", str(len(rounds))),
            MEANING[line.name],
        )
        for line, rounds in report.numbers.items()
    ]
    columns = ("what", "precision", "batch", "threads", "median", "unit", "range", "rounds", "what it is")
    output.write_table(columns, rows, right=("batch", "threads", "median", "range", "rounds"))
    output.say("")
    compared = [
        (ratio.name, ratio.precision or "", str(ratio.batch or ""), f"{ratio.value:.3f}") for ratio in report.ratios
    ]
    if compared:
        output.write_table(("ratio, by round", "precision", "batch", "median"), compared, right=("batch", "median"))
        output.say("")
    for sentence in report.left_out:
        output.say(f"Left out: {sentence}")
    settings = ", ".join(f"{key}: {value}" for key, value in report.proposal.settings.items())
    output.say(f"For this machine and model, under `worker:`: {settings or 'nothing was measured to tell'}.")
    if report.proposal.remark:
        output.say(report.proposal.remark)


def _by(size: list[int]) -> str:
    return f"{size[0]}×{size[1]}"


def _figure(value: float) -> str:
    """The figure with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
